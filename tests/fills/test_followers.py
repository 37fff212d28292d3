"""What the one who asked first does, suffers or is refused concerns nobody else."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.conftest import Opened
from tests.fills.calls import blob_path, manifest_path
from tests.fills.crowd import Pulled, pull, pull_all
from tests.fills.in_process import InProcess, in_process
from tests.support.accounts import Accounts
from tests.support.hostile import (
    BLOBS,
    BasicLogin,
    Cut,
    Hold,
    HostileUpstream,
    Page,
    Settings,
    Stall,
    Status,
    WrongByte,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.images import oci_image
from tests.support.layers import Blob, random_blob
from tests.support.raw_http import raw_connection, request_bytes
from tests.support.store_tree import linked_blobs, visible_blobs
from tests.support.token_calls import basic_value
from tests.support.waiting import eventually, wait_until

SIZE = 2_000_000


@pytest.fixture
def content(upstream: HostileUpstream) -> Blob:
    return upstream.contents.add_blob("app", random_blob(SIZE, "followed"))


@pytest.fixture
def path(content: Blob) -> str:
    return blob_path("app", content.digest)


def followers(replica: InProcess) -> int:
    return replica.replica._chain.fill.followers


@pytest.mark.parametrize("percent", [10, 50, 90])
def test_the_first_client_leaves(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str, percent: int
) -> None:
    """C8, F19: the first client breaks off at 10, 50 and 90 %: the second gets all of it, and no
    byte was fetched twice.
    """
    at = SIZE * percent // 100
    stall = upstream.inject(Stall(at), method="GET", path=BLOBS)
    request = request_bytes("GET", path, replica.address)
    with raw_connection(replica.address) as first, raw_connection(replica.address) as second:
        first.send(request)
        stall.wait_fired()
        second.send(request)
        wait_until(lambda: followers(replica) == 2)
        assert first.read(100)
        first.reset()
        stall.release()
        reply = second.read_reply()
    assert reply.is_complete
    assert reply.body == content.data
    assert upstream.count("GET", BLOBS) == 1
    assert upstream.sent_bytes(BLOBS) == SIZE
    replica.wait_idle()
    assert content.digest in visible_blobs(replica.store)


def test_the_first_client_is_slow(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """C8, F22: the first client takes nothing: the second has all, and it is committed, before the
    first goes on; and then the first gets all of it too.
    """
    request = request_bytes("GET", path, replica.address)
    with raw_connection(replica.address, receive_buffer_bytes=4096) as slow:
        slow.send(request)
        wait_until(lambda: followers(replica) == 1 or replica.flights == 0)
        with raw_connection(replica.address) as quick:
            quick.send(request)
            assert quick.read_reply().body == content.data
        replica.wait_idle()
        assert content.digest in visible_blobs(replica.store)
        reply = slow.read_reply()
    assert reply.is_complete
    assert reply.body == content.data
    assert upstream.count("GET", BLOBS) == 1


def test_everybody_leaves(
    upstream: HostileUpstream, replica: InProcess, content: Blob, path: str
) -> None:
    """F19: when all clients leave, the fill finishes by itself and is committed."""
    stall = upstream.inject(Stall(SIZE // 2), method="GET", path=BLOBS)
    with raw_connection(replica.address) as only:
        only.send(request_bytes("GET", path, replica.address))
        stall.wait_fired()
        assert only.read(100)
        only.reset()
    stall.release()
    wait_until(lambda: content.digest in visible_blobs(replica.store), what="committed")
    assert upstream.count("GET", BLOBS) == 1


ERRORS: Mapping[str, tuple[AnswerFault, int]] = {
    "absent": (Status(404, "BLOB_UNKNOWN"), 404),
    "denied": (Status(403), 403),
    "policy": (Status(412), 412),
    "asked-for-less": (Status(429), 429),
    "failing": (Status(500), 503),
    "page": (Page(502), 503),
    "no-answer": (Cut(-1), 503),
}


@pytest.mark.parametrize("name", ERRORS)
async def test_every_waiter_gets_the_error(
    upstream: HostileUpstream, replica: InProcess, path: str, name: str
) -> None:
    """C8, F18: what the primary answers to the one request reaches every waiter, as it is."""
    fault, status = ERRORS[name]
    failing = upstream.inject(fault, method="GET", path=BLOBS, times=None)
    hold = upstream.inject(Hold(), method="GET", path=BLOBS)
    pulls = asyncio.create_task(pull_all(replica.address, [path] * 30))
    await eventually(lambda: hold.fired and followers(replica) == 30)
    hold.release()
    found = await pulls
    assert failing.fired
    assert [(each.status, each.is_complete) for each in found] == [(status, True)] * 30


@pytest.mark.parametrize("fault", [Cut(5000), WrongByte(0)], ids=["broken", "wrong"])
async def test_a_broken_fill_breaks_every_answer(
    upstream: HostileUpstream, replica: InProcess, path: str, fault: AnswerFault
) -> None:
    """C8: a fill that can't be finished ends every follower's connection before its end."""
    failing = upstream.inject(fault, method="GET", path=BLOBS, times=None)
    stall = upstream.inject(Stall(1000), method="GET", path=BLOBS)
    pulls = asyncio.create_task(pull_all(replica.address, [path] * 30))
    await eventually(lambda: stall.fired and followers(replica) == 30)
    stall.release()
    found = await pulls
    assert failing.fired
    assert [(each.status, each.is_complete) for each in found] == [(200, False)] * 30
    assert visible_blobs(replica.store) == {}


# --- callers with rights of their own ---


@pytest.fixture
def secured(opened: Opened, upstream: HostileUpstream, accounts: Accounts) -> InProcess:
    """A replica of an upstream where alice and bob have repositories of their own."""
    upstream.settings = Settings(login=BasicLogin(accounts))
    return opened(in_process(upstream.url))


def login(accounts: Accounts, name: str) -> dict[str, str]:
    return {"Authorization": basic_value(accounts.credentials_of(name))}


def start(replica: InProcess, path: str, headers: dict[str, str]) -> "asyncio.Task[Pulled]":
    return asyncio.create_task(pull(replica.address, path, headers))


async def test_the_first_caller_is_refused_midway(
    upstream: HostileUpstream, secured: InProcess, accounts: Accounts
) -> None:
    """C8, settled 8: the link breaks and the first caller's login is over: the fill goes on with
    the login of another who follows it, from the byte where it broke.
    """
    content = upstream.contents.add_blob("shared/app", random_blob(SIZE, "midway"))
    path = blob_path("shared/app", content.digest)
    cut = upstream.inject(Cut(SIZE // 2), method="GET", path=BLOBS)
    stall = upstream.inject(Stall(SIZE // 4), method="GET", path=BLOBS)
    alice, bob = login(accounts, "alice"), login(accounts, "bob")
    first = start(secured, path, alice)
    await eventually(lambda: stall.fired)
    second = start(secured, path, bob)
    await eventually(lambda: followers(secured) == 2)
    accounts.remove("alice")
    stall.release()
    assert (await second).body == content.data
    assert cut.fired == 1
    assert (await first).body == content.data
    gets = upstream.requests("GET", BLOBS)
    asked = [(each.fields.get("Authorization"), each.fields.get("Range")) for each in gets]
    rest = f"bytes={SIZE // 2}-"
    assert asked == [
        (alice["Authorization"], ""),
        (alice["Authorization"], rest),
        (bob["Authorization"], rest),
    ]


async def test_the_first_caller_is_refused_at_once(
    upstream: HostileUpstream, secured: InProcess, accounts: Accounts
) -> None:
    """C8: the one who asked first is refused; who joined meanwhile gets it with its own login."""
    content = upstream.contents.add_blob("shared/app", random_blob(SIZE, "at once"))
    path = blob_path("shared/app", content.digest)
    refusal = upstream.inject(Status(403), method="GET", path=BLOBS)
    hold = upstream.inject(Hold(), method="GET", path=BLOBS)
    first = start(secured, path, login(accounts, "alice"))
    await eventually(lambda: hold.fired)
    second = start(secured, path, login(accounts, "bob"))
    await eventually(lambda: followers(secured) == 2)
    hold.release()
    assert (await first).status == 403
    assert refusal.fired == 1
    assert (await second).body == content.data


async def test_a_refused_caller_gets_nothing_of_another_repositorys_fill(
    upstream: HostileUpstream, secured: InProcess, accounts: Accounts
) -> None:
    """C4, C6: the one who asked first is refused for its repository; that the fill goes on for
    another repository gives it no byte, and its repository no link.
    """
    content = random_blob(SIZE, "two owners")
    for name in ("alice/app", "bob/app"):
        upstream.contents.add_blob(name, content)
    refusal = upstream.inject(Status(403), method="GET", path=r"/v2/alice/app/blobs/.+")
    hold = upstream.inject(Hold(), method="GET", path=r"/v2/alice/app/blobs/.+")
    first = start(secured, blob_path("alice/app", content.digest), login(accounts, "alice"))
    await eventually(lambda: hold.fired)
    second = start(secured, blob_path("bob/app", content.digest), login(accounts, "bob"))
    await eventually(lambda: followers(secured) == 2)
    hold.release()
    refused = await first
    assert (refused.status, refusal.fired) == (403, 1)
    assert content.data[:1000] not in refused.body
    assert (await second).body == content.data
    secured.wait_idle()
    assert linked_blobs(secured.store, "alice/app") == set()
    assert linked_blobs(secured.store, "bob/app") == {content.digest}


async def test_the_first_callers_refusal_for_a_manifest_is_its_own(
    upstream: HostileUpstream, secured: InProcess, accounts: Accounts
) -> None:
    """C8: who waits for the same manifest as a caller that is refused asks with its own login."""
    image = upstream.contents.add("shared/app", oci_image("guarded"))
    path = manifest_path("shared/app", image.digest)
    refusal = upstream.inject(Status(403), method="GET", path=path)
    hold = upstream.inject(Hold(), method="GET", path=path)
    first = start(secured, path, login(accounts, "alice"))
    await eventually(lambda: hold.fired)
    second = start(secured, path, login(accounts, "bob"))
    await eventually(lambda: secured.replica._gate.in_flight == 2)
    await eventually(lambda: upstream.count("HEAD", path) == 2)
    hold.release()
    assert ((await first).status, refusal.fired) == (403, 1)
    assert (await second).body == image.data
