"""The pipeline on Kubernetes: sizes, configuration, failures and cleanup of pods.

On a laptop only `pods` and its dependencies are imported, for the number of GPUs of a step.
"""
