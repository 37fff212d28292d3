"""How many connections a transfer is worth, tried upwards as long as the rate rises; and how many
all transfers may have.
"""

UNKNOWN_LANES = 4
GAIN = 1.25


class Climb:
    """How many lanes one flight uses: doubled as long as the rate rises by a quarter each time.

    Where nothing is known it begins with some, and the first one's rate before they came tells
    whether they are of use.
    """

    def __init__(self, known: int | None, most: int) -> None:
        self.most = most
        self.lanes = min(known or UNKNOWN_LANES, most)
        self.is_settled = known is not None
        self._before = 1
        self._rate_before = 0.0

    def measured_alone(self, rate: float) -> None:
        """Note the rate of the first lane alone."""
        self._rate_before = rate

    def measured(self, rate: float) -> None:
        """Go on from the rate that these lanes reached."""
        if self.is_settled:
            return
        if rate < GAIN * self._rate_before:
            self.lanes, self.is_settled = self._before, True
        elif self.lanes >= self.most:
            self.is_settled = True
        else:
            self._before, self._rate_before = self.lanes, rate
            self.lanes = min(self.most, 2 * self.lanes)

    def hold_at(self, lanes: int) -> None:
        """Use no more than so many from here on."""
        self.lanes = self.most = max(1, min(self.lanes, lanes))
        self.is_settled = True


class LaneBudget:
    """How many lanes all flights have, and may have: each has its first one in any case."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.taken = 0

    @property
    def is_used_up(self) -> bool:
        """Say that no flight may have one more."""
        return self.taken >= self._limit

    @property
    def is_overdrawn(self) -> bool:
        """Say that a flight with several lanes is to leave one to the others."""
        return self.taken > self._limit

    def take(self) -> None:
        self.taken += 1

    def give_back(self) -> None:
        self.taken -= 1
