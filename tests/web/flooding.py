"""Bodies of any length, sent to whoever lets them in."""

import socket
import ssl
import time

from tests.support.raw_http import RawConnection

HUGE = 10 << 30
PIECE = bytes(64 << 10)
LET_IN_AT_MOST = (1 << 20) + (15 << 20)
"""What is read of an unwanted body, and what may lie between the sockets, read by nobody: the
kernel lets its buffers grow by itself (6 MiB were seen, `tcp_rmem` allows 32).
"""

FRAMINGS = {
    "length": (("Content-Length", str(HUGE)),),
    "chunks": (("Transfer-Encoding", "chunked"),),
}


def flood(connection: RawConnection, *, in_chunks: bool) -> int:
    """Send pieces of a body until the peer won't have more; give how many bytes it let in."""
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if in_chunks else PIECE
    sent, deadline = 0, time.monotonic() + 10
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(PIECE))
    connection.socket.settimeout(1)
    try:
        while time.monotonic() < deadline:
            connection.socket.sendall(piece)
            sent += len(piece)
    except (OSError, ssl.SSLError):
        return sent
    raise AssertionError(f"{sent} bytes went into nothing")
