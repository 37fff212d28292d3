"""The primary instance and the replica instances: their making, their states, their end."""
