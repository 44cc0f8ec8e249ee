"""Passages that backgrounds are written from: reading, index, and the check of what was written."""
