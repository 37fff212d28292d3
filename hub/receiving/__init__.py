"""What comes from the primary, from the first byte to the log."""
