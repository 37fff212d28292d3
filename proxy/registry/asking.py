"""How a decision is brought to where it lets its owner in: known, asked for, or in grace."""

import asyncio
import copy
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from proxy.oci.errors import Absent, BadGateway, RegistryError, Unauthorized, Unavailable
from proxy.registry.decisions import Decisions, Standing
from proxy.registry.single_flight import SingleFlight
from proxy.telemetry.labels import DecisionUse

GRACE_WAIT_SECONDS = 5.0
"""How long the primary is waited for where there is a grant to fall back on."""

K = TypeVar("K", bound=Hashable)


class Asking(Generic[K]):
    """Asks for decisions as their standing wants it, each question once at a time."""

    def __init__(self, decisions: Decisions[K]) -> None:
        self._decisions = decisions
        self._questions: SingleFlight[Hashable, None] = SingleFlight()

    async def require(
        self, key: K, question: Hashable, ask: Callable[[], Awaitable[object]]
    ) -> DecisionUse:
        """Return if what *key* stands for is granted, and say how that was found.

        *ask* asks the primary and notes its answer; those with one *question* share one call.

        Raises: whatever the primary answers. Unavailable: it can't be asked, and no grant holds.
        """
        match self._decisions.standing(key):
            case Standing.FRESH:
                return DecisionUse.KNOWN
            case Standing.AGEING:
                self._ask_behind(key, question, ask)
                return DecisionUse.KNOWN
            case Standing.GRACE:
                self._ask_behind(key, question, ask)
                return DecisionUse.GRACE
            case Standing.REFUSED:
                raise copy.copy(self._decisions.refusal(key) or Unauthorized())
            case Standing.LAPSED:
                return await self._ask_or_grace(key, question, ask)
            case Standing.UNKNOWN:
                await self._questions.run(question, lambda: self._noted(key, ask))
                return DecisionUse.ASKED

    def _ask_behind(self, key: K, question: Hashable, ask: Callable[[], Awaitable[object]]) -> None:
        if self._decisions.may_ask_behind(key):
            self._questions.start_behind(question, lambda: self._noted(key, ask))

    async def _ask_or_grace(
        self, key: K, question: Hashable, ask: Callable[[], Awaitable[object]]
    ) -> DecisionUse:
        try:
            async with asyncio.timeout(GRACE_WAIT_SECONDS):
                await self._questions.run(question, lambda: self._noted(key, ask))
        except TimeoutError:
            self._decisions.note_reached(key, is_reached=False)
            return DecisionUse.GRACE
        except RegistryError as exc:
            if not _is_no_answer(exc):
                raise
            return DecisionUse.GRACE
        return DecisionUse.ASKED

    async def _noted(self, key: K, ask: Callable[[], Awaitable[object]]) -> None:
        try:
            await ask()
        except RegistryError as exc:
            self._decisions.note_reached(key, is_reached=not _is_no_answer(exc))
            raise
        self._decisions.note_reached(key, is_reached=True)

    async def close(self) -> None:
        """End what is running."""
        await self._questions.close()


def _is_no_answer(error: RegistryError) -> bool:
    """Say whether nobody who could decide was reached: a page isn't the registry's word."""
    is_foreign = isinstance(error, Absent) and error.is_foreign
    return is_foreign or isinstance(error, (Unavailable, BadGateway))
