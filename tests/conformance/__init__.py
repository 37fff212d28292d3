"""Our own conformance suite for the OCI distribution spec 1.1.

A table of named checks, each of which pushes what it needs into a repository of its own. A replica
conforms if every check that passes at its primary passes through the replica too.
"""
