"""Sources of a model's weights: the Hub, or Python packages that contain a quantized file."""
