"""Sizes, rates and times as people write them: `40ms`, `100MB`, `256MiB`, `1.2 s`."""

import re

_BYTES = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")


def parse_bytes(text: str) -> int:
    """Give the number of bytes in *text*; a rate may end in `/s`.

    Units:  B, KB, MB, GB (powers of 1000), KiB, MiB, GiB (powers of 1024); none means bytes.
    Raises: ValueError
    """
    number, unit = _split(text.removesuffix("/s"))
    if unit.upper() not in _BYTES:
        raise ValueError(f"{text!r} is not a size such as 100MB or 256MiB")
    return int(number * _BYTES[unit.upper()])


def parse_seconds(text: str) -> float:
    """Give the number of seconds in *text*.

    Units:  us, ms, s, m, h; none means seconds.
    Raises: ValueError
    """
    number, unit = _split(text)
    factor = _SECONDS.get(unit or "s")
    if factor is None:
        raise ValueError(f"{text!r} is not a time such as 40ms or 30s")
    return number * factor


def _split(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a number with a unit")
    return float(match[1]), match[2]


def show_bytes(count: int) -> str:
    """Give *count* as people read it, in powers of 1000: `104.9 MB`, `3.1 kB`, `0 B`."""
    for factor, unit in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def show_seconds(seconds: float) -> str:
    """Give *seconds* as people read it: `1.24 s`, `52 ms`, `0.4 ms`."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 0.01:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds * 1000:.1f} ms"
