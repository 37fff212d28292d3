"""Notifications: one pure parser for each sender, and the events that all of them mean.

An event is a hint. Senders lose, repeat and reorder them, and none numbers them, so whoever acts on
one asks the primary first. Nothing here does I/O or reads a clock.
"""
