"""Whose turn it is to send: so many pieces in each round of the event loop.

Two hundred readers that are all ready would otherwise send in one round, and whoever asks for a
manifest meanwhile would wait for all of them.
"""

import asyncio
from collections import deque

PIECES_A_ROUND = 8


class Turns:
    """Gives turns in the order in which they are asked for."""

    def __init__(self) -> None:
        self._left = PIECES_A_ROUND
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_round_due = False

    async def take(self) -> None:
        """Wait for a turn; alone there is nothing to wait for until a round's turns are used."""
        if self._left > 0 and not self._waiting:
            self._left -= 1
            self._next_round()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._next_round()
        await turn

    def _next_round(self) -> None:
        if not self._is_round_due:
            self._is_round_due = True
            asyncio.get_running_loop().call_soon(self._begin_round)

    def _begin_round(self) -> None:
        self._is_round_due = False
        self._left = PIECES_A_ROUND
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                self._left -= 1
                turn.set_result(None)
        if self._waiting:
            self._next_round()
