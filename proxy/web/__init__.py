"""The HTTP boundary: from raw requests to values, and from errors to the spec's answers."""
