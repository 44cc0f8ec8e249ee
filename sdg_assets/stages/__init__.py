"""The six stages as pure functions, without Dagster."""
