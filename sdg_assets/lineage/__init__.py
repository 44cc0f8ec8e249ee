"""Which data a step made of which: events of OpenLineage; see `docs/operations.md`.

Only code that runs with `OPENLINEAGE_URL` imports the modules below: they need the extra `lineage`.
"""
