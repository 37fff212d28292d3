"""Replication: what the primary says was pushed or deleted is done here before anyone asks.

An event becomes jobs (`plan`), durable together with the place in the event log that they came
from (`journal`); workers carry them out (`workers`, `copying`). Events are hints: what is brought
is what the primary says when it is asked.
"""
