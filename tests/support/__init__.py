"""Real programs and scriptable peers that the tests run against.

Everything listens on loopback, on ports that no other test process takes, and ends with the
``with`` block (or, if the test process is killed, with it). All of it is synchronous to use: the
servers that are ours run in threads of their own, so they serve sync and async tests alike.

    processes, ports, waiting     programs, claimed ports, bounded polling
    registries, token_server      docker-registry as primary, and the tokens it trusts
    recording_relay, trap         who asked for what; where nobody should ask
    hostile                       an OCI 1.1 registry that fails, lies and refuses as it is told
    images, layers, kinds,        content of every kind, byte-exact
      schema1, layout
    registry_client, pushing      a plain client; pushes, and pulls that compare every byte
    raw_http                      exact bytes out, and exactly what came back
    skopeo, containerd            real clients
    namespaces                    hosts with addresses of their own, and the router between them
    replica, metrics, store_tree  the product as a process, its metrics and its store on disk
"""
