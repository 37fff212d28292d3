"""The routes about instances and the replication log, and the description of all routes."""
