"""The OCI distribution spec's vocabulary as plain values. Nothing here does I/O."""
