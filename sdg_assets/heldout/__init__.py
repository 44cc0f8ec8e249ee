"""What is held out, as hashes: fingerprints of rows, tables of them, and the index to ask."""
