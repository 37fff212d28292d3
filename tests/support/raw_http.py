"""Exact bytes out, and exactly what came back: for what no well-behaved client sends."""

import enum
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.support.http1 import Fields

TIMEOUT_SECONDS = 10.0


class Ending(enum.Enum):
    """What the peer did with the connection after its answer."""

    KEPT_OPEN = "kept open"
    CLOSED = "closed"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class RawReply:
    """What came back; status 0: nothing that could be read as an answer.

    body:        payload bytes as far as they came (chunks are joined).
    is_complete: the answer's own framing says that nothing is missing.
    ending:      of the connection, as far as it could be told without waiting longer.
    rest:        bytes after the end of the answer.
    """

    status: int
    fields: Fields
    body: bytes
    is_complete: bool
    ending: Ending
    interim: tuple[int, ...] = ()
    rest: bytes = b""

    def header(self, name: str) -> str:
        return self.fields.get(name)


class RawConnection:
    """A TCP (or TLS) connection that a test drives by hand."""

    def __init__(self, stream: socket.socket) -> None:
        self.socket = stream
        self._buffer = bytearray()
        self._ending = Ending.KEPT_OPEN

    def send(self, data: bytes) -> None:
        """Send exactly *data*. Raises: OSError if the peer has closed or doesn't read in time."""
        self.socket.sendall(data)

    def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End the connection with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read(self, size: int) -> bytes:
        """Give up to *size* bytes as they come; none: the peer is done."""
        while not self._buffer and self._receive():
            pass
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def read_reply(self, method: str = "GET") -> RawReply:
        """Give the next answer, interim ones before it included."""
        interim: list[int] = []
        while True:
            head = self._read_until(b"\r\n\r\n")
            if head is None:
                rest = bytes(self._buffer)
                return RawReply(0, Fields(), b"", False, self._ending, tuple(interim), rest)
            status, fields = _parse(head)
            if status >= 200:
                body, is_complete = self._read_body(method, status, fields)
                rest = bytes(self._buffer)
                return RawReply(
                    status, fields, body, is_complete, self._ending, tuple(interim), rest
                )
            interim.append(status)

    def wait_for_end(self, timeout_seconds: float = TIMEOUT_SECONDS) -> Ending:
        """Wait for the peer to end the connection and tell how; KEPT_OPEN: it did not in time."""
        deadline = time.monotonic() + timeout_seconds
        while self._ending is Ending.KEPT_OPEN and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            self._receive()
        return self._ending

    def _receive(self) -> bool:
        """Take what is there into the buffer; False: nothing (more) comes."""
        if self._ending is not Ending.KEPT_OPEN:
            return False
        try:
            data = self.socket.recv(256 * 1024)
        except TimeoutError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self._ending = Ending.RESET
            return False
        except ssl.SSLEOFError:
            self._ending = Ending.CLOSED
            return False
        self._buffer += data
        if not data:
            self._ending = Ending.CLOSED
        return bool(data)

    def _read_until(self, mark: bytes) -> bytes | None:
        while (end := self._buffer.find(mark)) < 0:
            if not self._receive():
                return None
        taken = bytes(self._buffer[: end + len(mark)])
        del self._buffer[: end + len(mark)]
        return taken

    def _read_exactly(self, size: int) -> tuple[bytes, bool]:
        while len(self._buffer) < size and self._receive():
            pass
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken, len(taken) == size

    def _read_body(self, method: str, status: int, fields: Fields) -> tuple[bytes, bool]:
        if method == "HEAD" or status in (204, 304):
            return b"", True
        if "chunked" in fields.get("Transfer-Encoding").lower():
            return self._read_chunks()
        if "Content-Length" in fields:
            return self._read_exactly(int(fields.get("Content-Length")))
        while self._receive():
            pass
        body, _ = self._read_exactly(len(self._buffer))
        return body, self._ending is Ending.CLOSED

    def _read_chunks(self) -> tuple[bytes, bool]:
        body = bytearray()
        while (line := self._read_until(b"\r\n")) is not None:
            size = int(line.split(b";")[0], 16)
            piece, is_whole = self._read_exactly(size)
            body += piece
            ended = self._read_until(b"\r\n")
            if not is_whole or ended is None or size == 0:
                return bytes(body), size == 0 and ended is not None
        return bytes(body), False


@contextmanager
def raw_connection(
    address: str,
    *,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    receive_buffer_bytes: int | None = None,
    source: str = "",
) -> Iterator[RawConnection]:
    """Connect to *address* (host:port) for the length of the block.

    receive_buffer_bytes: a small one makes a slow reader felt by the peer at once.
    source: the address to come from, any of 127.0.0.0/8 on loopback.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM)
    try:
        plain.settimeout(timeout_seconds)
        if receive_buffer_bytes is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        if source:
            plain.bind((source, 0))
        plain.connect((host.strip("[]"), int(port)))
        name = server_name or host.strip("[]")
        stream = tls.wrap_socket(plain, server_hostname=name) if tls else plain
        with stream:
            yield RawConnection(stream)
    finally:
        plain.close()


def exchange(
    address: str,
    data: bytes,
    *,
    method: str = "GET",
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> RawReply:
    """Send exactly *data* over a new connection and give what comes back."""
    with raw_connection(
        address, tls=tls, server_name=server_name, timeout_seconds=timeout_seconds
    ) as connection:
        with suppress(ConnectionError, TimeoutError):  # an early answer may end the sending
            connection.send(data)
        return connection.read_reply(method)


def request_bytes(
    method: str, target: str, host: str, *fields: tuple[str, str], body: bytes = b""
) -> bytes:
    """Give a request as bytes, with exactly these fields after ``Host``."""
    head = f"{method} {target} HTTP/1.1\r\n".encode() + Fields((("Host", host), *fields)).encode()
    return head + b"\r\n" + body


def _parse(head: bytes) -> tuple[int, Fields]:
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    parts = [line.partition(":") for line in lines]
    fields = Fields(tuple((name, value.strip()) for name, _, value in parts))
    return int(start.split(" ")[1]), fields
