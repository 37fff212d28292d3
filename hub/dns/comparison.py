"""What a DNS server answers in each region, beside what it should."""

from collections.abc import Iterator
from dataclasses import dataclass

from geo.catalogue import Region
from geo.nearness import Nearness
from geo.ranking import Ranking
from hub.dns.questions import HAS_CONTENT, IS_ABSENT, Reply, Server, Status
from hub.dns.state import GeoState
from hub.dns.viewpoint import Viewpoint, viewpoint_of

FAMILIES = {"A": 4, "AAAA": 6}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a client should get. reason: why; empty: only a database tells, and there is none."""

    region: Region
    reason: str

    def values(self, kind: str) -> tuple[str, ...]:
        """Give the addresses of one family."""
        return tuple(str(each) for each in self.region.addresses if each.version == FAMILIES[kind])


@dataclass(frozen=True, slots=True)
class Seen:
    """The answers for one region's clients, and what is wrong with them."""

    view: Viewpoint
    expected: Expected
    replies: dict[str, Reply]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. is_reachable: the server answers at all."""

    seen: tuple[Seen, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    is_reachable: bool = True

    @property
    def is_good(self) -> bool:
        return not self.problems and not any(each.problems for each in self.seen)


def compare(name: str, server: Server, state: GeoState, nearness: Nearness) -> Report:
    """Ask a server for all regions. Blocks."""
    soa = server.ask(name, "SOA")
    if soa.status in IS_ABSENT:
        problem = f"the server can't be asked: {_said(soa)}"
        return Report((), (problem,), (), is_reachable=False)
    problems = list(_zone_problems({"SOA": soa, "NS": server.ask(name, "NS")}))
    notes: list[str] = []
    seen: list[Seen] = []
    for region in state.catalogue.regions:
        view = viewpoint_of(region, state, nearness)
        if view is None:
            notes.append(f"{region.name}: it has no network and no public address to ask from")
            continue
        expected = _expected(view, nearness)
        replies = {kind: server.ask(name, kind, view.subnet) for kind in FAMILIES}
        seen.append(_judged(view, expected, replies, state))
    problems += _subnet_problems(seen)
    return Report(tuple(seen), tuple(problems), tuple(notes))


# --- one region -----------------------------------------------------------------------------------


def _expected(view: Viewpoint, nearness: Nearness) -> Expected:
    ranking: Ranking = nearness.rank(view.subnet.network_address)
    if view.is_sure or ranking.place is not None:
        return Expected(ranking.answer, ranking.reason)
    return Expected(view.region, "")


def _judged(
    view: Viewpoint, expected: Expected, replies: dict[str, Reply], state: GeoState
) -> Seen:
    found = [
        problem
        for kind, reply in replies.items()
        for problem in _problems(kind, reply, expected, state)
    ]
    if expected.reason:
        return Seen(view, expected, replies, tuple(found), ())
    notes = tuple(f"{each} (where its database has {view.client} isn't known)" for each in found)
    return Seen(view, expected, replies, (), notes)


def _problems(kind: str, reply: Reply, expected: Expected, state: GeoState) -> Iterator[str]:
    wanted = expected.values(kind)
    if reply.status not in HAS_CONTENT:
        yield f"{kind}: {_said(reply)}"
        return
    if set(reply.values) != set(wanted):
        yield f"{kind}: {_as_list(reply.values, state)}, not {_as_list(wanted, state)}"
    if reply.ttl_seconds is not None and reply.ttl_seconds > state.ttl_seconds:
        yield (
            f"{kind}: TTL {reply.ttl_seconds} s, which is more than {state.ttl_seconds} s: "
            f"clients stay for that long when a region ends"
        )


def _as_list(values: tuple[str, ...], state: GeoState) -> str:
    """Give addresses, and whose they are."""
    if not values:
        return "no addresses"
    owners = [
        each.name
        for each in state.catalogue.regions
        if set(values) & {str(address) for address in each.addresses}
    ]
    return f"{' '.join(values)} ({', '.join(owners) or 'of no region'})"


# --- the server as a whole ------------------------------------------------------------------------


def _zone_problems(zone: dict[str, Reply]) -> Iterator[str]:
    for kind, reply in zone.items():
        if reply.status is not Status.ANSWERED:
            yield f"{kind}: {_said(reply)}"
    if zone["SOA"].status is Status.ANSWERED and not zone["SOA"].is_authoritative:
        yield (
            "it isn't authoritative for the name: what it answers may be old, and it may ask on "
            "without the client's subnet"
        )


def _subnet_problems(seen: list[Seen]) -> Iterator[str]:
    """Tell of a server that answers all clients alike, whoever they are."""
    answers = {tuple(each.replies[kind].values for kind in FAMILIES) for each in seen}
    wanted = {each.expected.region.name for each in seen}
    replies = [reply for each in seen for reply in each.replies.values() if reply.values]
    if len(answers) == 1 and len(wanted) > 1 and replies:
        yield "the same answer for all regions: it doesn't honour the client's subnet (ECS)"
    elif replies and not any(reply.scope for reply in replies):
        yield (
            "no answer says for which subnet it holds (ECS scope): resolvers will give it to "
            "clients of other regions"
        )


def _said(reply: Reply) -> str:
    return f"{reply.status}, {reply.detail}" if reply.detail else f"{reply.status}"
