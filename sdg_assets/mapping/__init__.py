"""Maps raw rows to contents: by a task's own `record:`, or with lm-eval's rendering."""
