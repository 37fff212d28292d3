"""The expiring cache, the patterns and the layout: small parts with exact rules."""

import asyncio

import pytest

from proxy.oci.digest import Digest
from proxy.oci.reference import Repository, Tag
from proxy.registry.expiring import ExpiringCache
from proxy.registry.freshness import Freshness
from proxy.registry.layout import Layout, LinkKind
from proxy.registry.patterns import compiled, freshness_by_pattern
from tests.support.waiting import eventually

HEX = "ab" + "0" * 62
SHA256, SHA512 = Digest.parse(f"sha256:{HEX}"), Digest.parse(f"sha512:{HEX}{HEX}")
NAME, TAG = Repository("team/app"), Tag("1.0")


# --- the expiring cache ---------------------------------------------------------------------------


async def test_an_expiring_cache_holds_no_more_than_its_limit():
    """What was put first goes first; replacing an entry displaces none."""
    cache = ExpiringCache(3)
    for key in ("a", "b", "c", "b", "d"):
        await cache.set(key, key.upper(), ttl=60)
    assert [await cache.get(key) for key in "abcd"] == [None, "B", "C", "D"]


async def test_an_entry_expires():
    """An entry is gone after its ttl, one with a longer ttl stays."""
    cache = ExpiringCache(10)
    await cache.set("short", 1, ttl=0.01)
    await cache.set("long", 2, ttl=60)
    await eventually(lambda: "short" not in cache._cache)
    assert (await cache.get("short"), await cache.get("long")) == (None, 2)


@pytest.mark.parametrize("ttl", [0, 0.0, -1, -0.5])
async def test_a_ttl_of_nothing_keeps_nothing(ttl):
    """An entry whose time is over already is not kept for ever."""
    cache = ExpiringCache(10)
    await cache.set("key", "old", ttl=60)
    await cache.set("key", "new", ttl=ttl)
    assert await cache.get("key") is None


async def test_what_was_put_after_clear_lives_its_own_ttl():
    """`clear` takes the timers along: they'd end entries that were put later."""
    cache = ExpiringCache(10)
    await cache.set("key", "old", ttl=0.02)
    await cache.clear()
    await cache.set("key", "new", ttl=60)
    await asyncio.sleep(0.04)  # past the old entry's time, which must have no effect
    assert await cache.get("key") == "new"


# --- patterns -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("**", ["a", "a/b/c"], []),
        ("*", ["a", "a.b-c_d"], ["a/b"]),
        ("team/*", ["team/a"], ["team", "team/", "team/a/b", "xteam/a"][2:]),
        ("team/**", ["team/a", "team/a/b"], ["team", "teams/a"]),
        ("**/cache", ["a/cache", "a/b/cache"], ["cache", "a/cachex"]),
        ("a.b", ["a.b"], ["axb"]),
        ("a*c", ["ac", "abc"], ["a/c"]),
        ("release-*", ["release-1"], ["release", "xrelease-1", "release-1\n"][:2]),
    ],
)
def test_a_pattern_matches_whole_names(pattern, matching, other):
    """`*` stays within a path component, `**` crosses, everything else is literal."""
    expression = compiled(pattern)
    assert [name for name in matching if not expression.fullmatch(name)] == []
    assert [name for name in other if expression.fullmatch(name)] == []


def test_the_first_rule_that_matches_counts():
    """Rules are tried in order, each by repository and tag; without one, events decide."""
    policy = freshness_by_pattern(
        [
            ("ci/**", "release-*", Freshness.NEVER),
            ("ci/**", "*", Freshness.ALWAYS),
            ("**", "nightly", Freshness.TTL),
        ]
    )
    found = [
        policy(Repository(name), Tag(tag))
        for name, tag in (
            ("ci/app", "release-1"),
            ("ci/app", "nightly"),
            ("web/app", "nightly"),
            ("web/app", "1.0"),
        )
    ]
    assert found == [Freshness.NEVER, Freshness.ALWAYS, Freshness.TTL, Freshness.EVENT]


# --- the layout -----------------------------------------------------------------------------------

V2 = "docker/registry/v2"


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (lambda it: it.data(SHA256), f"{V2}/blobs/sha256/ab/{HEX}/data"),
        (lambda it: it.data(SHA512), f"{V2}/blobs/sha512/ab/{HEX}{HEX}/data"),
        (
            lambda it: it.link(NAME, LinkKind.LAYER, SHA256),
            f"{V2}/repositories/team/app/_layers/sha256/{HEX}/link",
        ),
        (
            lambda it: it.link(NAME, LinkKind.MANIFEST, SHA256),
            f"{V2}/repositories/team/app/_manifests/revisions/sha256/{HEX}/link",
        ),
        (
            lambda it: it.tag_current(NAME, TAG),
            f"{V2}/repositories/team/app/_manifests/tags/1.0/current/link",
        ),
        (
            lambda it: it.tag_index(NAME, TAG, SHA256),
            f"{V2}/repositories/team/app/_manifests/tags/1.0/index/sha256/{HEX}/link",
        ),
    ],
)
def test_the_tree_is_distributions(tmp_path, found, expected):
    """Paths are those of Distribution's storage driver (registry v2), name for name."""
    assert found(Layout(tmp_path)) == tmp_path / expected


def test_our_own_files_lie_outside_the_tree(tmp_path):
    """A stock registry that serves the tree meets none of our files."""
    layout = Layout(tmp_path)
    own = (layout.spool, layout.quarantine, layout.sidecar, layout.lock, layout.signing_key)
    assert all(path.parent == tmp_path for path in (*own, layout.control_socket))
