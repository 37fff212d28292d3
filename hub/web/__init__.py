"""The hub's HTTP boundary."""
