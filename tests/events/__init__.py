"""Notifications: each sender's payloads, the way through the table, and the JSON form."""
