"""HOW: the six stages as pure functions. Nothing here knows Dagster."""
