"""The regions in which replicas may be, with the numbers that their ids end in.

They are the known regions that have a number, which Tencent Cloud's API gives to its own; settings
add others.
"""

from collections.abc import Iterable, Mapping

from geo.known import known_regions


class Regions:
    """Names and numbers of regions, both unique."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """Know the known ones and *more*, each as `name=number`.

        Raises: ValueError: a name or a number stands twice.
        """
        self._numbers: dict[str, int] = {
            name: each.number for name, each in known_regions().items() if each.number is not None
        }
        for text in more:
            name, _, number = text.partition("=")
            if name in self._numbers or int(number) in self._numbers.values():
                raise ValueError(f"replicas.regions: {text} is there already, or its number is")
            self._numbers[name] = int(number)

    @property
    def numbers(self) -> Mapping[str, int]:
        """Give all of them."""
        return dict(self._numbers)

    def number_of(self, name: str) -> int | None:
        """Give the number of a region; None: there is no such region."""
        return self._numbers.get(name)
