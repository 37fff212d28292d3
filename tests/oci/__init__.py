"""The vocabulary: each module of proxy.oci, most of it as properties."""
