"""The streams on which replicas follow the event log."""
