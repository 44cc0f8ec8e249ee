"""`sdg browse`: read-only pages over the partitions and releases of a store.

    tables.py      the rows of a partition or a release: their files, in order
    columns.py     what can be filtered and sorted: one table of categories, one of measures
    index.py       these columns and the words of every row, made once a version and cached
    words.py       which rows hold a word
    selection.py   a query: its parameters, the rows that it selects, counts and histograms
    rows.py        one row: what stands beside it (seeds, completions) and what is read of it
    comparison.py  two selections of a subtask, side by side
    overview.py    the state of all subtasks
    audit.py       a sample by strata
    app.py         addresses; pages/ what stands on them

Nothing here writes to the store except notes on rows (`store/notes.py`). The cache lies outside of
the store and may be deleted at any time. Dagster is not imported.
"""
