"""Asking: so many questions a second, fewer where the primary asks for less."""

import asyncio

import pytest

from proxy.oci.errors import BadGateway, TooManyRequests, Unavailable
from proxy.replication.asking import MAX_TRIES, Asking


class ManualClock:
    """A time that goes on, when all wait, to where the first of them wants to be."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._waiting: list[float] = []

    def now(self) -> float:
        return self.seconds

    async def pause(self, seconds: float) -> None:
        until = self.seconds + seconds
        self._waiting.append(until)
        while self.seconds < until:
            await asyncio.sleep(0)
            self.seconds = max(self.seconds, min(self._waiting))
        self._waiting.remove(until)


class Primary:
    """Notes when it is asked; answers with errors first, as many as there are."""

    def __init__(self, clock: ManualClock, *errors: Exception) -> None:
        self._clock = clock
        self._errors = list(errors)
        self.asked_at: list[float] = []

    async def answer(self) -> str:
        self.asked_at.append(self._clock.now())
        if self._errors:
            raise self._errors.pop(0)
        return "yes"


def too_many(seconds: int) -> TooManyRequests:
    error = TooManyRequests(retry_after_seconds=seconds)
    error.is_answered = True
    return error


async def test_the_rate_is_kept() -> None:
    """A hundred questions at twenty a second take five seconds, evenly, whoever asks."""
    clock = ManualClock()
    primary, asking = Primary(clock), Asking(20, clock.now, clock.pause)
    for _ in range(100):
        assert await asking.ask(primary.answer) == "yes"
    assert primary.asked_at == pytest.approx([number / 20 for number in range(100)])


async def test_time_without_questions_is_not_saved_up() -> None:
    """After an hour of silence the rate is what it was: no burst."""
    clock = ManualClock()
    primary, asking = Primary(clock), Asking(10, clock.now, clock.pause)
    await asking.ask(primary.answer)
    clock.seconds += 3600
    for _ in range(3):
        await asking.ask(primary.answer)
    assert primary.asked_at[1:] == pytest.approx([3600, 3600.1, 3600.2])


async def test_one_that_asks_for_less_is_left_alone() -> None:
    """A 429 is waited out, the same question comes again, and the rate is half of what it was."""
    clock = ManualClock()
    primary, asking = Primary(clock, too_many(7)), Asking(10, clock.now, clock.pause)
    assert await asking.ask(primary.answer) == "yes"
    assert primary.asked_at == pytest.approx([0, 7])
    assert 5 <= asking.per_second < 6


async def test_the_rate_comes_back() -> None:
    """Good answers bring the rate back, and no further."""
    clock = ManualClock()
    primary, asking = Primary(clock, too_many(1)), Asking(10, clock.now, clock.pause)
    for _ in range(20):
        await asking.ask(primary.answer)
    assert asking.per_second == pytest.approx(10)


async def test_it_is_given_up() -> None:
    """A question that meets nothing but 429 is given up after some tries."""
    clock = ManualClock()
    primary = Primary(clock, *(too_many(2) for _ in range(10)))
    with pytest.raises(TooManyRequests):
        await Asking(10, clock.now, clock.pause).ask(primary.answer)
    assert len(primary.asked_at) == MAX_TRIES


@pytest.mark.parametrize("error", [Unavailable(), BadGateway()])
async def test_other_errors_are_not_asked_again(error: Exception) -> None:
    """Nobody there, or an answer of no use: that is what the asker hears."""
    clock = ManualClock()
    primary = Primary(clock, error)
    with pytest.raises(type(error)):
        await Asking(10, clock.now, clock.pause).ask(primary.answer)
    assert len(primary.asked_at) == 1


async def test_those_who_wait_wait_longer() -> None:
    """What waited for its turn when the primary asked for less comes after that time, in turns."""
    clock = ManualClock()
    primary, asking = Primary(clock, too_many(5)), Asking(2, clock.now, clock.pause)
    await asyncio.gather(*(asking.ask(primary.answer) for _ in range(3)))
    assert primary.asked_at[0] == 0
    later = primary.asked_at[1:]
    assert min(later) >= 5
    assert len(set(later)) == len(later) == 3
