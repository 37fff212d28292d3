"""The event log: what the primary said, in one order that never changes."""
