"""The way out: one HTTP client session, origins that may be spoken to, addresses and breakers."""
