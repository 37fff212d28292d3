"""The way out: each module of proxy.net, against peers of the test's own on real sockets."""
