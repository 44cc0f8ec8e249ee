"""Signatures of rows: they reveal duplicates without the texts, within or across partitions.

Rows are cut into shingles and hashed (`shingles`), signed (`minhash`), and the signatures are
stored with their partition (`table`). The search pairs them (`pairs`, `search`): in memory for a
partition; for a release, over scratch files on one machine (`scratch`) or on Spark (`spark`).
"""
