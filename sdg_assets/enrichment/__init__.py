"""Everything added to a generated row: blind votes, then one module per enrichment.

The votes are the verification itself, so the stage calls them by name. Any module that exports an
`ENRICHMENT` is used for every verified row; no list names it. See `base.py`.
"""
