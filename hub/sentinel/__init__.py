"""Whether what the primary says arrives: the hub pushes, and waits to be told of its own push."""
