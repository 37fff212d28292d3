"""Decisions of the primary: fresh, ageing, lapsed, refused, by a clock that is set by hand."""

import pytest

from proxy.oci.errors import Denied
from proxy.registry.decisions import REFUSED_SECONDS, Decisions, Standing

TTL, GRACE = 60.0, 3600.0
FRESH, AGEING, LAPSED = Standing.FRESH, Standing.AGEING, Standing.LAPSED
REFUSED, UNKNOWN = Standing.REFUSED, Standing.UNKNOWN


@pytest.fixture
def decisions(clock):
    return Decisions(TTL, GRACE, 100, clock.now)


@pytest.mark.parametrize(
    ("age", "standing"),
    [
        (0.0, FRESH),
        (TTL / 2 - 0.001, FRESH),
        (TTL / 2, AGEING),
        (TTL - 0.001, AGEING),
        (TTL, LAPSED),
        (GRACE - 0.001, LAPSED),
        (GRACE, UNKNOWN),
        (GRACE * 10, UNKNOWN),
    ],
)
def test_a_grant_ages(decisions, clock, age, standing):
    """C15: a grant is renewed behind from ttl/2, asked again from ttl, ended by the grace."""
    decisions.grant("key")
    clock.pass_(age)
    assert decisions.standing("key") is standing
    assert decisions.is_granted("key") == (standing in (FRESH, AGEING))


@pytest.mark.parametrize(
    ("age", "standing"),
    [(0.0, REFUSED), (REFUSED_SECONDS - 0.001, REFUSED), (REFUSED_SECONDS, UNKNOWN)],
)
def test_a_refusal_is_remembered_shortly(decisions, clock, age, standing):
    """A refusal answers for two seconds; then the primary is asked, and no grant comes back."""
    decisions.grant("key")
    refusal = Denied()
    decisions.refuse("key", refusal)
    clock.pass_(age)
    assert decisions.standing("key") is standing
    assert decisions.refusal("key") is refusal
    assert not decisions.is_granted("key")


@pytest.mark.parametrize("age", [TTL, TTL + 1, GRACE])
def test_zero_grace_ends_a_grant_with_its_ttl(clock, age):
    """With `outage_grace = 0` a grant past its ttl counts for nothing, in an outage neither."""
    decisions = Decisions(TTL, 0.0, 100, clock.now)
    decisions.grant("key")
    clock.pass_(age)
    assert decisions.standing("key") is UNKNOWN


def test_the_grace_counts_from_the_last_grant(decisions, clock):
    """Each yes of the primary starts ttl and grace anew."""
    decisions.grant("key")
    clock.pass_(GRACE - 1)
    decisions.grant("key")
    clock.pass_(GRACE - 1)
    assert decisions.standing("key") is LAPSED


def test_a_grant_after_a_refusal_counts(decisions):
    """What the primary said last is what holds."""
    decisions.refuse("key", Denied())
    decisions.grant("key")
    assert decisions.standing("key") is FRESH
    assert decisions.refusal("key") is None


def test_ending_a_login_ends_all_its_rights_and_no_others(decisions):
    """`end_where` forgets exactly the keys that match."""
    for key in (("alice", "a"), ("alice", "b"), ("bob", "a")):
        decisions.grant(key)
    decisions.end_where(lambda key: key[0] == "alice")
    assert [decisions.standing((name, "a")) for name in ("alice", "bob")] == [UNKNOWN, FRESH]
    assert len(decisions) == 1


def test_the_memory_is_bounded(clock):
    """C30: 10,000 different keys leave no more than the limit."""
    decisions = Decisions(TTL, GRACE, 100, clock.now)
    for key in range(10_000):
        decisions.grant(key)
    assert len(decisions) == 100
