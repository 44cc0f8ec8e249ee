"""The pipeline on Kubernetes: how big a stage's pod is, how it is made, and why one failed.

Nothing here is needed, or imported, on a laptop.
"""
