"""Where a client goes: the regions, what stands in each, and which is nearest for an address.

Pure decisions. Nothing here opens a socket or knows the hub or the replica; `geo.location` alone
reads a database file.
"""
