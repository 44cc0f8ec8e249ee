"""What enrichment is made of: blind votes, a judge's scores, a background to learn from."""
