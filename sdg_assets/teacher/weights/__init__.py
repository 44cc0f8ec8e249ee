"""Where a model's weights come from: the Hub, or packages that carry a quantized file."""
