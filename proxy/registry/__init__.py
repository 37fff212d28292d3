"""One contract, `Puller`, and everything that implements or wraps it."""
