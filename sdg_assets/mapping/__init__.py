"""Raw rows become contents: by a task's own record, or as lm-eval renders them."""
