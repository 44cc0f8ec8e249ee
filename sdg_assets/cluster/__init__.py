"""The pipeline on Kubernetes: how big a stage's pod is, how it is made, why it failed, its end.

On a laptop only `pods` and what it needs is imported: it also says how many GPUs a step uses.
"""
