"""What a step promises, and whether what it cost keeps that."""

from dataclasses import dataclass

from loadtest.image import Image

_ONCE_RATIO = 1.02  # the requests and headers around an image's bytes
_NO_BLOB_BYTES = 64_000  # requests, headers and manifests; the demo's layers are larger
_ONE_QUESTION_BYTES = 2_000  # a HEAD and its answer
_AS_FAST_RATIO, _AS_FAST_SECONDS = 1.25, 0.25  # room for a busy machine: `make bench` measures

_FASTER_RATIO = 1.5  # the client itself pulls its layers at once; `make bench` measures one blob


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took: its time, and what entered the link towards the region and away from it."""

    seconds: float
    down_bytes: int
    up_bytes: int


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise and whether it was kept."""

    text: str
    is_kept: bool


def crosses_once(image: Image, cost: Cost) -> Promise:
    """The link carries the image once, however many clients ask."""
    ratio = cost.down_bytes / image.total_bytes
    return Promise(f"the image crosses the link once ({ratio:.2f}x)", ratio <= _ONCE_RATIO)


def as_fast_as(direct: Cost, image: Image, cost: Cost) -> Promise:
    """A cold pull costs what a direct one does, in bytes and in time."""
    once = crosses_once(image, cost)
    limit_seconds = direct.seconds * _AS_FAST_RATIO + _AS_FAST_SECONDS
    return Promise(f"{once.text}, no slower", once.is_kept and cost.seconds <= limit_seconds)


def uses_the_link(direct: Cost, image: Image, cost: Cost) -> Promise:
    """A cold pull is faster than a client's own connections, and asks for each byte once."""
    once = crosses_once(image, cost)
    is_faster = cost.seconds <= direct.seconds / _FASTER_RATIO
    return Promise(f"{once.text}, at least {_FASTER_RATIO}x faster", once.is_kept and is_faster)


def stays_in_region(direct: Cost, cost: Cost) -> Promise:
    """A warm pull fetches no blob, and is faster than a direct one."""
    is_kept = cost.down_bytes < _NO_BLOB_BYTES and cost.seconds < direct.seconds
    return Promise("no blob crosses the link, faster than direct", is_kept)


def nothing_fetched_back(cost: Cost) -> Promise:
    """What was pushed through the replica is there."""
    return Promise("0 blob bytes fetched back", cost.down_bytes < _NO_BLOB_BYTES)


def works_without_primary(cost: Cost) -> Promise:
    """The clients got everything though nothing answered beyond the link."""
    return Promise("logins and pulls work, nothing crosses the link", cost.down_bytes == 0)


def fetches_no_blob(cost: Cost) -> Promise:
    """What was pushed elsewhere is there already."""
    return Promise("no blob crosses the link", cost.down_bytes < _NO_BLOB_BYTES)


def asks_only_for_the_right(cost: Cost) -> Promise:
    """A client that is new to a region has to be known; all else is there."""
    is_kept = cost.down_bytes < _ONE_QUESTION_BYTES
    return Promise("the primary is asked whether the client may, no more", is_kept)


def crosses_nothing(cost: Cost) -> Promise:
    """The region needs the primary for nothing."""
    return Promise("nothing crosses the link", cost.down_bytes + cost.up_bytes == 0)


def is_unknown(*, is_found: bool) -> Promise:
    """What was deleted at the primary is there no more."""
    return Promise("a pull there is told: manifest unknown", not is_found)
