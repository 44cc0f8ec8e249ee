"""The client side of a vLLM server: requests, replies, and which model it serves."""
