"""The held-out rows as hashes: fingerprints of rows, stored tables of them, and a search index."""
