"""Tells people what happened: a sensor finds events, and `apprise` sends them."""
