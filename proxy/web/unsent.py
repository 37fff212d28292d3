"""What a client hasn't taken yet: the measure by which slow readers are told from stalled ones."""

import asyncio
import fcntl
import socket as sockets
import struct
import termios

_COUNT = struct.Struct("i")
_BYTES_ACKED = struct.Struct("=120xQ")  # tcpi_bytes_acked in the kernel's struct tcp_info


def unsent_in_kernel(socket: int) -> int:
    """Give the bytes that the kernel still holds for a connection, sent or not, unacknowledged."""
    answer = fcntl.ioctl(socket, termios.TIOCOUTQ, bytes(_COUNT.size))
    (count,) = _COUNT.unpack(answer)
    return int(count)


def unsent(transport: asyncio.Transport) -> int:
    """Give the bytes that wait in a transport and, while there are some, in the kernel below it."""
    try:
        waiting = transport.get_write_buffer_size()
    except AttributeError:  # asyncio's TLS has forgotten its connection: it was closed twice
        return 0
    connection = transport.get_extra_info("socket")
    if not waiting or connection is None or (number := connection.fileno()) < 0:
        return waiting
    return waiting + unsent_in_kernel(number)


def taken(transport: asyncio.Transport) -> int:
    """Give the bytes that the client's kernel has acknowledged: they rise as long as it takes any.

    What waits here is no measure over TLS: buffers that nobody counts move theirs to the kernel.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return 0
    answer = connection.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, _BYTES_ACKED.size)
    (count,) = _BYTES_ACKED.unpack(answer)
    return int(count)
