"""What every server of the project listens with: sockets, certificates, the operators' listener."""
