"""The counts of a step for Prometheus, served over HTTP or pushed; see `docs/operations.md`."""
