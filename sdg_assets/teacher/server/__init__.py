"""A vLLM server as a client sees it: how it is asked, what it replies, which model it serves."""
