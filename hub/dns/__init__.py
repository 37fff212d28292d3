"""Where clients go, told by DNS servers: beside each of them, or as files for others."""
