"""Sockets to listen on."""

import socket

Address = tuple[str, int]


UNSENT_BYTES = 256 << 10
"""What the kernel takes of an answer before the client does; connections have it of their listener.

Without it that is some MiB for each: a thousand clients that take nothing would cost gigabytes, and
over TLS the time to encrypt them ([M] 50 s in which everybody else waits for a turn).
"""


def open_socket(address: Address) -> socket.socket:
    """Bind one address; an IPv6 one takes no IPv4, so that both can be listened on.

    Raises: OSError: in use, not ours, not allowed.
    """
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks at it
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
        opened.bind((host, port))
        opened.setblocking(False)  # noqa: FBT003  # the socket's own signature
    except OSError as exc:
        opened.close()
        raise OSError(exc.errno, f"can't listen on {host} port {port}: {exc.strerror}") from None
    return opened


def as_text(address: Address) -> str:
    """Give an address as logs and URLs write it."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
