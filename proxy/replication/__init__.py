"""Events to copies: what the hub says is followed, planned and carried out."""
