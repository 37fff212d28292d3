"""Tables and amounts, for people."""

from collections.abc import Sequence

NOTHING = "-"


def as_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Give rows in columns as wide as they need."""
    everything = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in everything) for column in range(len(head))]
    return "\n".join(as_row(row, widths) for row in everything)


def as_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Give one row of a table."""
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def as_duration(seconds: float | None) -> str:
    """Give a time like 4.2s, 3m, 5h, 2d."""
    if seconds is None:
        return NOTHING
    for limit, unit, size in ((60, "s", 1), (3_600, "m", 60), (86_400, "h", 3_600)):
        if seconds < limit:
            number = seconds / size
            return f"{number:.1f}{unit}" if number < 10 else f"{number:.0f}{unit}"
    return f"{seconds / 86_400:.1f}d"


def as_size(number: float) -> str:
    """Give a number of bytes like 1.5 MiB."""
    for name in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {name}" if name == "B" else f"{number:.1f} {name}"
        number /= 1024
    return f"{number:.1f} TiB"
