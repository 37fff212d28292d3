"""Where a client goes, beside a slow and obvious decision."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.blocks import Blocks
from geo.distance import Coordinates, distance_km
from geo.nearness import Nearness
from geo.place import Place
from geo.plan import Plan
from geo.ranking import By, Ranked
from geo.situation import Situation, Standing
from geo.territory import Territory
from tests.support.geo import blocks, catalogue, names_of, region

UP, DOWN, DRAINED = Standing.UP, Standing.DOWN, Standing.DRAINED
NAMES = ("ap-singapore", "ap-jakarta", "ap-tokyo", "eu-frankfurt", "na-ashburn")
LINKOPING = Place(Coordinates(58.4, 15.6), "Linköping, SE", is_country=False)


def nowhere(_address):
    return None


# --- blocks ---------------------------------------------------------------------------------------

# Few bits, so that blocks nest and meet often.
v4_blocks = st.builds(
    lambda first, last, bits: IPv4Network(((first << 24) + last, bits), strict=False),
    st.integers(0, 255),
    st.integers(0, 3),
    st.integers(0, 8) | st.integers(30, 32),
)
v6_blocks = st.builds(
    lambda first, last, bits: IPv6Network(((first << 120) + last, bits), strict=False),
    st.integers(0, 255),
    st.integers(0, 3),
    st.integers(0, 8) | st.integers(126, 128),
)
any_blocks = v4_blocks | v6_blocks
addresses = (
    st.integers(0, 255).map(lambda top: IPv4Address(top << 24))
    | st.integers(0, 8).map(IPv4Address)
    | st.integers(0, 8).map(lambda low: IPv4Address(2**32 - 1 - low))
    | st.integers(0, 255).map(lambda top: IPv6Address(top << 120))
    | st.integers(0, 2**128 - 1).map(IPv6Address)
)


def _chain(networks, address):
    return tuple(
        sorted(
            {each for each in networks if each.version == address.version and address in each},
            key=lambda each: each.prefixlen,
        )
    )


@given(st.lists(any_blocks, max_size=12), st.data())
def test_blocks_as_by_looking_at_all(networks, data):
    """The ranges give what looking at every block gives, at the edges of each block too."""
    table = Blocks(networks, lambda chain: chain)
    probes = [data.draw(addresses)]
    for each in networks:
        first, last = int(each.network_address), int(each.broadcast_address)
        edges = (first - 1, first, last, last + 1)
        kind = type(each.network_address)
        probes += [kind(edge) for edge in edges if 0 <= edge < 1 << each.max_prefixlen]
    for probe in probes:
        assert table.find(probe) == _chain(networks, probe)


# --- the decision ---------------------------------------------------------------------------------


@st.composite
def worlds(draw):
    """Give regions with networks, linked ones, standings, and a place for every address."""
    unused = draw(st.lists(any_blocks, max_size=10, unique=True))
    regions, linked = [], {}
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        own = [unused.pop() for _ in range(min(len(unused), draw(st.integers(0, 3))))]
        others = tuple(each for each in NAMES if each != name)
        regions.append(
            region(
                name,
                *map(str, own),
                weight=draw(st.integers(1, 3)),
                fallback=tuple(draw(st.lists(st.sampled_from(others), max_size=2, unique=True))),
            )
        )
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=3, unique=True)):
        linked[name] = tuple(draw(st.lists(any_blocks, max_size=2, unique=True)))
    standings = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(Standing))))
    place = draw(
        st.sampled_from([None, LINKOPING, Place(Coordinates(-6, 106), "ID", is_country=True)])
    )
    default = draw(st.sampled_from([each.name for each in regions]))
    return catalogue(*regions, default=default), Situation(standings, linked), place


def slow_answer(known, situation, place, client):
    """Decide by looking at everything, in strict order; give the name of the region."""
    if client.version == 6 and client.ipv4_mapped:
        client = client.ipv4_mapped

    def holds(networks):
        return [each for each in networks if each.version == client.version and client in each]

    def linked(each):
        return situation.linked.get(each.name, ())

    entering = [each for each in known.regions if not linked(each) or holds(linked(each))]
    entering = entering or list(known.regions)
    longest = {
        each.name: max(
            (net.prefixlen for net in holds([*each.networks, *linked(each)])), default=-1
        )
        for each in known.regions
    }
    best = max(longest.values())
    owners = [each for each in known.regions if best >= 0 and longest[each.name] == best]
    default = known.region(known.default)
    if len(owners) > 1 and place:
        owners.sort(key=lambda each: (distance_km(place.coordinates, each.coordinates), each.name))
    start = owners[0].coordinates if owners else place.coordinates if place else default.coordinates
    order = sorted(
        entering,
        key=lambda each: (
            not owners and not place and each is not default,
            distance_km(start, each.coordinates),
            each.name,
        ),
    )
    own = [each for each in owners if each in entering] or order[:1]
    order = sorted(
        order,
        key=lambda each: (
            (0, own.index(each))
            if each in own
            else (1, own[0].fallback.index(each.name))
            if each.name in own[0].fallback
            else (2, 0)
        ),
    )
    for standing in (UP, DOWN, DRAINED):
        for each in order:
            if situation.standings.get(each.name, UP) is standing:
                return each.name
    raise AssertionError("no region at all")


@given(worlds(), addresses)
def test_strict_order_as_by_looking_at_all(world, client):
    """C28: with a spread of one, the answer is that of the slow decision, for any world."""
    known, situation, place = world
    ranking = Nearness(known, situation, lambda _: place, spread=1).rank(client)
    assert ranking.answer.name == slow_answer(known, situation, place, client)


@given(worlds(), addresses)
def test_spread_keeps_the_rules(world, client):
    """With a spread, every region is ranked once; a client in its own region, one that is up, stays
    there; a region that is up and open is never passed over for one that isn't.
    """
    known, situation, place = world
    nearness = Nearness(known, situation, lambda _: place, spread=3)
    ranking = nearness.rank(client)
    assert sorted(names_of(ranking.regions)) == sorted(each.name for each in known.regions)
    strict = Nearness(known, Situation({}, situation.linked), lambda _: place, spread=1)
    home = strict.rank(client).answer.name
    if situation.standings.get(home, UP) is UP:
        assert ranking.answer.name == home
    first, entering = ranking.regions[0], [each for each in ranking.regions if each.may_enter]
    if entering:
        assert first.may_enter
        assert first.standing is UP or not any(each.standing is UP for each in entering)
    if not any(each.standing is UP for each in entering or ranking.regions):
        assert ranking.reason == "all look down: the nearest anyway"


SINGAPORE = region("ap-singapore", "10.1.0.0/16", "2001:db8:1::/48")
JAKARTA = region("ap-jakarta", "10.1.7.0/24", fallback=("eu-frankfurt",))
TOKYO = region("ap-tokyo", "10.3.0.0/16")
FRANKFURT = region("eu-frankfurt")
WORLD = catalogue(SINGAPORE, JAKARTA, TOKYO, FRANKFURT)


@pytest.mark.parametrize(
    ("client", "standings", "linked", "answer", "by", "reason"),
    [
        ("10.1.2.3", {}, {}, "ap-singapore", By.NETWORK, "network 10.1.0.0/16"),
        ("10.1.7.3", {}, {}, "ap-jakarta", By.NETWORK, "network 10.1.7.0/24"),
        ("::ffff:10.1.7.3", {}, {}, "ap-jakarta", By.NETWORK, "network 10.1.7.0/24"),
        ("2001:db8:1::9", {}, {}, "ap-singapore", By.NETWORK, "network 2001:db8:1::/48"),
        ("89.160.20.112", {}, {}, "eu-frankfurt", By.DATABASE, "nearest"),
        ("9.9.9.9", {}, {}, "ap-singapore", By.DEFAULT, "nobody knows where it is: the default"),
        (None, {}, {}, "ap-singapore", By.DEFAULT, "nobody knows where it is: the default"),
        ("10.1.7.3", {"ap-jakarta": DOWN}, {}, "eu-frankfurt", By.NETWORK,
         "ap-jakarta is down: spread"),
        ("10.1.2.3", {"ap-singapore": DRAINED}, {}, "ap-jakarta", By.NETWORK,
         "ap-singapore is drained: spread"),
        ("10.1.2.3", {"ap-singapore": DOWN, "ap-jakarta": DOWN}, {}, "ap-tokyo", By.NETWORK,
         "ap-singapore is down: spread"),
        ("10.1.2.3", dict.fromkeys(NAMES, DOWN), {}, "ap-singapore", By.NETWORK,
         "all look down: the nearest anyway"),
        ("10.1.2.3", {**dict.fromkeys(NAMES, DOWN), "ap-singapore": DRAINED}, {}, "ap-jakarta",
         By.NETWORK, "all look down: the nearest anyway"),
        ("10.1.2.3", dict.fromkeys(NAMES, DRAINED), {}, "ap-singapore", By.NETWORK,
         "all look down: the nearest anyway"),
        # Linked networks locate, and close their region to all others.
        ("10.9.1.1", {}, {"ap-tokyo": "10.9.0.0/16"}, "ap-tokyo", By.NETWORK,
         "network 10.9.0.0/16"),
        ("10.3.1.1", {}, {"ap-tokyo": "10.9.0.0/16"}, "ap-singapore", By.NETWORK,
         "ap-tokyo is closed to it: nearest that is open"),
        ("89.160.20.112", {}, {"eu-frankfurt": "10.9.0.0/16"}, "ap-tokyo", By.DATABASE, "nearest"),
        ("9.9.9.9", {}, dict.fromkeys(NAMES, "10.9.0.0/16"), "ap-singapore", By.DEFAULT,
         "nobody knows where it is: the default"),
        # In a block of two regions: the nearest of them, then the other.
        ("10.9.1.1", {}, {"ap-tokyo": "10.9.0.0/16", "ap-jakarta": "10.9.0.0/16"}, "ap-jakarta",
         By.NETWORK, "network 10.9.0.0/16"),
        ("10.9.1.1", {"ap-jakarta": DOWN},
         {"ap-tokyo": "10.9.0.0/16", "ap-jakarta": "10.9.0.0/16"}, "ap-tokyo", By.NETWORK,
         "network 10.9.0.0/16"),
    ],
)  # fmt: skip
def test_who_goes_where(client, standings, linked, answer, by, reason):
    """The answer, what told where the client is, and the line for people, case by case."""
    situation = Situation(standings, {name: blocks(each) for name, each in linked.items()})
    places = {ip_address("89.160.20.112"): LINKOPING}
    ranking = Nearness(WORLD, situation, places.get, spread=1).rank(client and ip_address(client))
    assert (ranking.answer.name, ranking.by, ranking.reason) == (answer, by, reason)


def test_distances_are_told():
    """A located client is told how far each region is; those that refuse it come last."""
    situation = Situation(linked={"ap-tokyo": blocks("10.9.0.0/16")})
    ranking = Nearness(WORLD, situation, lambda _: LINKOPING).rank(ip_address("89.160.20.112"))
    assert names_of(ranking.regions) == ["eu-frankfurt", "ap-singapore", "ap-jakarta", "ap-tokyo"]
    assert ranking.regions[0].distance_km == pytest.approx(1030, abs=20)
    assert [each.may_enter for each in ranking.regions] == [True, True, True, False]
    assert ranking.place is LINKOPING
    unknown = Nearness(WORLD, situation, nowhere).rank(None)
    assert {each.distance_km for each in unknown.regions} == {None}


def test_from_a_region():
    """The clients of a region, whatever their address, go there, and elsewhere when it is down."""
    assert Nearness(WORLD, Situation(), nowhere).rank_from(TOKYO).answer is TOKYO
    closed = Situation({"ap-tokyo": DOWN}, {"ap-singapore": blocks("10.9.0.0/16")})
    ranking = Nearness(WORLD, closed, nowhere, spread=1).rank_from(TOKYO)
    assert (ranking.answer, ranking.reason) == (JAKARTA, "ap-tokyo is down: spread")


@settings(max_examples=40)
@given(worlds(), worlds(), addresses)
def test_another_situation(world, other, client):
    """The decision made over for another situation is the one made anew for it."""
    known, situation, place = world
    for later in (other[1], Situation(other[1].standings, situation.linked)):
        anew = Nearness(known, later, lambda _: place)
        before = Nearness(known, situation, lambda _: place)
        made_over = Nearness(known, later, lambda _: place, before=before)
        assert made_over.rank(client) == anew.rank(client)


def test_drain_of_the_catalogue():
    """A drain in the file holds until a standing says otherwise."""
    known = catalogue(region("ap-tokyo", is_drained=True), FRANKFURT)
    assert Nearness(known, Situation(), nowhere).rank(None).answer is FRANKFURT
    up = Nearness(known, Situation({"ap-tokyo": UP}), nowhere)
    assert up.rank(None).answer.name == "ap-tokyo"


def test_orders_are_bounded(monkeypatch):
    """However many places ask, the kept orders stay within their bound, and answers stay right."""
    monkeypatch.setattr("geo.nearness.MAX_PLANS", 8)
    nearness = Nearness(
        WORLD,
        Situation(),
        lambda address: Place(Coordinates(50, int(address) % 40), "", is_country=False),
    )
    for last in range(40):
        assert nearness.rank(IPv4Address(0x05000000 + last)).answer is FRANKFURT
        assert len(nearness._plans) <= 8


def test_many_regions_and_networks_share_what_they_can():
    """Spots that let in the same regions share the set of them: it isn't kept for each block."""
    regions = [region("ap-singapore"), region("ap-jakarta"), region("ap-tokyo")]
    linked = {"ap-jakarta": blocks("10.0.0.0/16", "10.2.0.0/16")}
    territory = Territory(catalogue(*regions), linked)
    spots = [territory.find(ip_address(each)) for each in ("10.0.0.1", "10.1.0.1", "10.2.0.1")]
    assert spots[0].entered is spots[2].entered
    assert spots[0].entered != spots[1].entered


def test_the_more_regions_the_fewer_orders_are_kept(monkeypatch):
    """What is kept is bounded in ranks, since an order has one for each region."""
    monkeypatch.setattr("geo.nearness.MAX_RANKS", 12)
    made: list[object] = []
    monkeypatch.setattr("geo.nearness.Plan", lambda *given: made.append(given) or Plan(*given))
    places = iter(Place(Coordinates(float(n), 0.0), "", False) for n in range(4))
    nearness = Nearness(
        catalogue(*(region(name) for name in NAMES)), Situation(), lambda _: next(places)
    )
    for _ in range(4):
        nearness.rank(ip_address("192.0.2.1"))
    assert len(made) == 4
    assert len(nearness._plans) == 2


def test_an_order_compares_no_region_with_every_other(monkeypatch):
    """The work for an order grows with the regions, not with their square."""
    compared: list[object] = []
    monkeypatch.setattr(Ranked, "__eq__", lambda *both: compared.append(both) or both[0] is both[1])
    regions = [region(f"dc-{n}", coordinates=Coordinates(n % 90, n)) for n in range(100)]
    Nearness(catalogue(*regions), Situation(), nowhere).rank(ip_address("192.0.2.1"))
    assert len(compared) <= len(regions)
