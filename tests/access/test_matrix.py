"""C5: every route, every kind of caller; the primary's own answer is what is expected.

The rows come from the route table: a request of a kind that has no row, or a method that a route
offers and no row tries, fails.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import get_args

import pytest

from proxy.oci.errors import RegistryError
from proxy.oci.grammar import parse
from proxy.oci.request import (
    BlobDelete,
    BlobPull,
    Catalog,
    ManifestDelete,
    ManifestPull,
    ManifestPut,
    Ping,
    Referrers,
    Request,
    TagList,
    UploadStart,
    UploadStep,
)
from proxy.web.admit import METHODS
from tests.access.matrix_worlds import (
    ALICE,
    forbidding_world,
    htpasswd_world,
    open_world,
    token_world,
)
from tests.access.worlds import bearer, call
from tests.support.images import oci_image
from tests.support.pushing import ACCEPT_ALL, push
from tests.support.registry_client import RegistryClient
from tests.support.token_calls import basic_value

IMAGE = oci_image("matrix")
LAYER = IMAGE.blobs[-1].digest
NONE = "sha256:" + "0" * 64
SESSION = "6f4f1d2c-0000-4000-8000-000000000000"

# kind of request -> targets in a repository {r}: what is there, what isn't
TARGETS = {
    Ping: [("/v2/", None)],
    Catalog: [("/v2/_catalog", None)],
    ManifestPull: [
        ("/v2/{r}/manifests/latest", "/v2/{r}/manifests/absent"),
        (f"/v2/{{r}}/manifests/{IMAGE.digest}", f"/v2/{{r}}/manifests/{NONE}"),
    ],
    BlobPull: [(f"/v2/{{r}}/blobs/{LAYER}", f"/v2/{{r}}/blobs/{NONE}")],
    TagList: [("/v2/{r}/tags/list", "/v2/{r}/none/tags/list")],
    Referrers: [(f"/v2/{{r}}/referrers/{IMAGE.digest}", f"/v2/{{r}}/referrers/{NONE}")],
    UploadStart: [
        ("/v2/{r}/blobs/uploads/", None),
        (
            f"/v2/{{r}}/blobs/uploads/?mount={LAYER}&from={{r}}",
            f"/v2/{{r}}/blobs/uploads/?mount={NONE}&from={{r}}",
        ),
    ],
    UploadStep: [(f"/v2/{{r}}/blobs/uploads/{SESSION}", None)],
}
# these have the targets of what they write
WRITTEN = {ManifestPut: ManifestPull, ManifestDelete: ManifestPull, BlobDelete: BlobPull}
BODIES = {"PUT": IMAGE.data, "PATCH": b"chunk"}
ORDER = ("GET", "HEAD", "POST", "PATCH", "PUT", "DELETE")


@dataclass(frozen=True, slots=True)
class Row:
    """A method on a target that is there; *absent*: the same on one that isn't."""

    kind: type
    method: str
    target: str
    absent: str | None


def rows() -> list[Row]:
    """Give every method that the route table offers on every target, reads first."""
    found = []
    for targets in TARGETS.values():
        for target, absent in targets:
            for method in METHODS:
                kind = kind_of(method, target)
                if kind is not None:
                    found.append(Row(kind, method, target, absent))
    return sorted(found, key=lambda row: ORDER.index(row.method))


def kind_of(method: str, target: str) -> type | None:
    try:
        return type(parse(method, target.format(r="alice/app")).request)
    except RegistryError:
        return None


ROWS = rows()


def test_every_kind_of_request_has_a_row():
    """C5: the rows are all of the route table."""
    assert {row.kind for row in ROWS} == set(get_args(Request))
    assert set(TARGETS) | set(WRITTEN) == set(get_args(Request))
    assert {row.method for row in ROWS} == set(METHODS)


WORLDS = [open_world, htpasswd_world, token_world, forbidding_world]


@pytest.fixture(scope="module", params=WORLDS, ids=lambda each: each.__name__)
def world(request, tmp_path_factory):
    with request.param(tmp_path_factory.mktemp("matrix")) as made:
        owner = RegistryClient(made.direct, ALICE)
        for repository in ("alice/app", "alice/direct"):
            push(owner, repository, IMAGE, "latest")
        warm = RegistryClient(made.through, ALICE)
        for target in ("manifests/latest", f"manifests/{IMAGE.digest}", f"blobs/{LAYER}"):
            warm.get(f"/v2/alice/app/{target}").expect(200)
        yield made


def send(url, row, repository, credentials, headers=None):
    """Send one row as a client that logs in where it is asked to."""
    client = RegistryClient(url, credentials)
    typed = {"Content-Type": IMAGE.media_type} if row.kind is ManifestPut else ACCEPT_ALL
    target = row.target.format(r=repository)
    body = BODIES.get(row.method, b"")
    return client.request(row.method, target, {**typed, **(headers or {})}, body)


def name_of(row):
    return f"{row.method} {row.target}"


def all_at_once(work, items):
    """Give what *work* gives for each item: some primaries take a second for each refusal."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(lambda item: work(*item), items))


def has_no_such_route(row, theirs):
    """Tell whether the primary has no referrers API: a 404 before it asks who is there."""
    return row.kind is Referrers and theirs.status == 404


def test_refused_callers_get_what_the_primary_says(world):
    """C5: for callers without a right every row has the primary's own status, though everything
    that is asked for lies here.
    """

    def compare(row, credentials, headers):
        ours = send(world.through, row, "alice/app", credentials, headers)
        theirs = send(world.direct, row, "alice/app", credentials, headers)
        if has_no_such_route(row, theirs) and ours.status in (401, 404):
            return None
        return None if ours.status == theirs.status else (ours.status, theirs.status)

    callers = [(name, who, None) for name, who in world.refused.items()]
    callers += [(name, None, header) for name, header in world.tokens.items()]
    asked = [(row, who, header) for row in ROWS for _, who, header in callers]
    names = [(name, name_of(row)) for row in ROWS for name, _, _ in callers]
    answers = all_at_once(compare, asked)
    assert {name: pair for name, pair in zip(names, answers, strict=True) if pair} == {}


def seen(reply):
    """Give what a caller learns from a reply, without what it asked for itself."""
    headers = {name.lower(): value for name, value in reply.headers.items()}
    kept = {name: value for name, value in headers.items() if name not in CHANGING}
    text = repr((reply.status, sorted(kept.items()), reply.body))
    return re.sub(r"sha256:[0-9a-f]{64}|/none", "", text)


CHANGING = {"x-request-id", "date", "content-length", "connection"}
"""The last one tells how much of a body had come when it was refused."""


def test_refused_callers_do_not_learn_what_is_there(world):
    """C5, T18: what is absent and what is forbidden look the same in status, headers and body."""

    def compare(row, who):
        other = Row(row.kind, row.method, row.absent, None)
        there = seen(send(world.through, row, "alice/app", who))
        absent = seen(send(world.through, other, "alice/app", who))
        return None if there == absent else (name_of(row), there, absent)

    rows = [row for row in ROWS if row.absent is not None]
    asked = [(row, who) for row in rows for who in world.refused.values()]
    assert [each for each in all_at_once(compare, asked) if each] == []


def test_whoever_may_gets_what_the_primary_says(world):
    """C5: for callers with the right every row has the primary's own status, in this order at two
    repositories with the same content: reads, uploads, writes, deletes.
    """
    differing = {}
    for row in ROWS:
        for target in filter(None, (row.target, row.absent)):
            each = Row(row.kind, row.method, target, None)
            ours = send(world.through, each, "alice/app", ALICE)
            theirs = send(world.direct, each, "alice/direct", ALICE)
            if ours.status != theirs.status:
                differing[name_of(each)] = ours.status, theirs.status
    assert differing == {}


def test_our_own_tokens_open_one_route(token_world_fresh):
    """C5: a token of ours for another repository, or an expired one, opens no row; a good one
    opens the pulls of its repository and nothing else.
    """
    world, clock = token_world_fresh
    target = "/v2/token?scope=repository:{}:pull"
    login = {"Authorization": basic_value(ALICE)}
    other = bearer(call(world.replica, "GET", target.format("alice/other"), login))
    good = bearer(call(world.replica, "GET", target.format("alice/app"), login))
    pulls = (ManifestPull, BlobPull, TagList, Referrers)
    opened = {"other": set(), "good": set()}
    for name, header in (("other", other), ("good", good)):
        for row in ROWS:
            reply = send(world.through, row, "alice/app", None, header)
            if reply.status != 401:
                opened[name].add(row.kind)
    assert opened["other"] == {Ping}
    assert opened["good"] == {Ping, *pulls}
    clock.advance(400)
    for row in ROWS:
        reply = send(world.through, row, "alice/app", None, good)
        assert reply.status == 401
        assert 'error="invalid_token"' in reply.header("WWW-Authenticate")


@pytest.fixture
def token_world_fresh(tmp_path):
    with token_world(tmp_path) as made:
        push(RegistryClient(made.direct, ALICE), "alice/app", IMAGE, "latest")
        yield made, made.replica.clock


def test_nothing_else_is_served(token_world_fresh):
    """C5: paths that no row has are answered 404 to whoever asks, without a question upstream."""
    world, _ = token_world_fresh
    for target in ("/", "/metrics", "/healthz", "/v1/", "/v2/alice/app", "/token", "/v2/token/x"):
        for credentials in (None, {"Authorization": basic_value(ALICE)}):
            reply = call(world.replica, "GET", target, credentials)
            assert (reply.status, reply.header("WWW-Authenticate")) == (404, None)
