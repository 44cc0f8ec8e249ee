"""Signatures of rows, by which copies are found without their texts, in one partition or all.

Rows are cut and hashed (`shingles`), signed (`minhash`), and their signatures stored with their
partition (`table`). The search pairs them (`pairs`, `search`): in memory for a partition, over
scratch files for a release on one machine (`scratch`), or on Spark (`spark`).
"""
