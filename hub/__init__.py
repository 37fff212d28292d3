"""The hub: receives the primary's notifications and tells the replicas, in one durable order."""
