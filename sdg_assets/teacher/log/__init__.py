"""The completion log: what a teacher answered, sealed line by line, kept through any kill."""
