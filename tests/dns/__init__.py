"""DNS: the process beside a server, what it says through a real one, exports and checks."""
