"""Dagster: the factory that wires a seed task's stages and checks. Nothing is computed here."""
