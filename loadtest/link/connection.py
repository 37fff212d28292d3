"""Two lanes over two sockets, which end together."""

import contextlib
import socket
import struct
from collections.abc import Callable
from functools import partial

from loadtest.link.lane import Ending, Lane, LaneTerms

_LINGER_NONE = struct.pack("ii", 1, 0)


def reset(end: socket.socket) -> None:
    """Close *end* so that its peer sees a reset."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    end.close()


class Connection:
    """A client's connection through the link; owns both sockets."""

    def __init__(
        self, client: socket.socket, server: socket.socket, closed: Callable[["Connection"], None]
    ) -> None:
        self._client, self._server, self._closed = client, server, closed
        self._lanes: list[Lane] = []
        self._ended = 0
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(
        self,
        up: LaneTerms,
        down: LaneTerms,
        count_up: Callable[[int], None],
        count_down: Callable[[int], None],
    ) -> None:
        """Carry bytes both ways until both ends have ended."""
        self._lanes = [
            Lane(self._client, self._server, up, count_up, partial(self._lane_ended, 0)),
            Lane(self._server, self._client, down, count_down, partial(self._lane_ended, 1)),
        ]
        for lane in self._lanes:
            lane.start()

    def abort(self) -> None:
        """Reset both ends now."""
        self._let_go()
        reset(self._client)
        reset(self._server)
        self._closed(self)

    def _lane_ended(self, position: int, ending: Ending) -> None:
        if ending is Ending.BROKEN:
            self.abort()
            return
        self._ended += 1
        if self._ended == len(self._lanes):
            self._let_go()
            self._client.close()
            self._server.close()
            self._closed(self)
        elif ending is Ending.REJECTED:
            self._lanes[1 - position].break_off()

    def _let_go(self) -> None:
        for lane in self._lanes:
            lane.stop()
