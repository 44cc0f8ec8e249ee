"""What is added to a generated row: blind votes, then one module an enrichment.

Votes are the verification itself, so the stage calls them by name. A module that exports an
`ENRICHMENT` is asked for every verified row; nothing else lists it. See `base.py`.
"""
