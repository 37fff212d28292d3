"""The replication log: what became of every artifact in every region, as the replicas report it."""
