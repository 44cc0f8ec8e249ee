"""The teacher: requests in, completions out, nothing lost in between."""
