"""What a client hasn't taken yet: the measure by which slow readers are told from stalled ones."""

import asyncio
import fcntl
import struct
import termios

_COUNT = struct.Struct("i")


def unsent_in_kernel(socket: int) -> int:
    """Give the bytes that the kernel still holds for a connection, sent or not, unacknowledged."""
    answer = fcntl.ioctl(socket, termios.TIOCOUTQ, bytes(_COUNT.size))
    (count,) = _COUNT.unpack(answer)
    return int(count)


def unsent(transport: asyncio.Transport) -> int:
    """Give the bytes that wait in a transport and, while there are some, in the kernel below it."""
    waiting = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if not waiting or connection is None or (number := connection.fileno()) < 0:
        return waiting
    return waiting + unsent_in_kernel(number)
