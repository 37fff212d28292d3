"""Tags while the primary can't be asked: the last known digest, marked as stale, for a while."""

from collections.abc import Mapping

import pytest

from tests.conftest import Opened
from tests.fills.calls import causes, get, head
from tests.fills.in_process import InProcess, in_process
from tests.support.hostile import (
    MANIFESTS,
    Cut,
    Gzipped,
    Header,
    Hold,
    HostileUpstream,
    Page,
    Raw,
    Status,
    WrongByte,
)
from tests.support.hostile.faults import AnswerFault
from tests.support.images import OCI_INDEX, oci_image
from tests.tags.conftest import NEVER_AGES
from tests.tags.scene import (
    NEW,
    OLD,
    STALE,
    TAG,
    TTL_SECONDS,
    by_digest,
    is_stale,
    known,
    name,
    pulled,
)

STALE_LIMIT_SECONDS = 86_400.0
QUICK = {"read_timeout": 1.0}

UNREACHABLE: Mapping[str, AnswerFault | type[Hold]] = {
    "500": Status(500),
    "502": Status(502),
    "503": Status(503),
    "504": Status(504),
    "429": Status(429),
    "html-502": Page(502),
    "html-404": Page(404),
    "text-404": Page(404, b"default backend - 404", "text/plain"),
    "html-200": Page(200),
    "no-answer": Cut(-1),
    "no-http": Raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "silence": Hold,
}


def assert_stale(replica: InProcess, seconds: float) -> None:
    """Pull and HEAD the tag: the old image, said to be stale and how old, logged and counted."""
    counted = replica.metrics().value("proxima_stale_answers_total")
    reply = pulled(replica, OLD)
    assert is_stale(reply)
    assert seconds <= int(reply.header("Age") or -1) <= seconds + 5
    assert replica.client.head(TAG).expect(200).header("Warning") == STALE
    assert replica.metrics().value("proxima_stale_answers_total") == counted + 2
    event = replica.events("tag.stale")[-1]
    assert (event["repository"], event["tag"], event["digest"]) == ("app", "v1", OLD.digest)


@pytest.mark.parametrize("age", [True, False], ids=["right-is-known", "right-has-lapsed"])
@pytest.mark.parametrize("cause", UNREACHABLE)
def test_an_unreachable_primary(
    opened: Opened, upstream: HostileUpstream, cause: str, age: bool
) -> None:
    """F12, C16: whatever isn't the registry's answer leaves the last known digest, marked stale;
    and when the primary is back the tag is fresh again.
    """
    access = NEVER_AGES if age else {}
    primary = QUICK if cause == "silence" else {}
    replica = opened(in_process(upstream.url, access=access, primary=primary))
    known(upstream, replica)
    kind = UNREACHABLE[cause]
    fault = upstream.inject(kind() if kind is Hold else kind, path=MANIFESTS, times=None)
    assert_stale(replica, TTL_SECONDS)
    assert fault.fired
    upstream.heal()
    replica.clock.advance(61)
    assert not is_stale(pulled(replica, OLD))


def test_a_primary_that_refuses_connections(upstream: HostileUpstream, replica: InProcess) -> None:
    """F11: the same when nothing listens there, for as long as `stale_limit`, and no longer."""
    known(upstream, replica)
    upstream.cut()
    assert_stale(replica, TTL_SECONDS)
    replica.clock.advance(STALE_LIMIT_SECONDS - TTL_SECONDS - 10)
    assert_stale(replica, STALE_LIMIT_SECONDS - 10)
    replica.clock.advance(20)
    assert replica.client.get(TAG).expect(503).header("Retry-After")
    assert replica.client.get(by_digest(OLD)).expect(200).body == OLD.data


LIES: Mapping[str, AnswerFault] = {
    "other-type": Header("Content-Type", OCI_INDEX),
    "html-type": Header("Content-Type", "text/html"),
    "gzip": Gzipped(),
    "wrong-byte": WrongByte(0),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_new_image_that_cant_be_used(
    upstream: HostileUpstream, replica: InProcess, lie: str
) -> None:
    """A tag that moved to what can't be used stays where it was, marked stale, until it can."""
    known(upstream, replica)
    name(upstream, NEW)
    fault = upstream.inject(LIES[lie], method="GET", path=by_digest(NEW))
    assert is_stale(pulled(replica, OLD))
    assert fault.fired == 1
    assert not is_stale(pulled(replica, NEW))


def test_a_tag_that_was_never_here(upstream: HostileUpstream, replica: InProcess) -> None:
    """A tag that isn't known here is 503 with Retry-After in an outage, never 404."""
    known(upstream, replica)
    upstream.cut()
    reply = replica.client.get(TAG.replace("v1", "v2")).expect(503)
    assert reply.header("Retry-After")


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(
    upstream: HostileUpstream, replica: InProcess, status: int
) -> None:
    """F12: while the primary wants to be left alone, known tags are answered without asking it."""
    other = TAG.replace("v1", "v2")
    name(upstream, OLD, "v2")
    replica.client.get(other).expect(200)
    known(upstream, replica)
    wait = Status(status, fields=(("Retry-After", "30"),))
    told = upstream.inject(wait, method="HEAD", path=TAG)
    with causes(upstream, head(TAG, status)):
        for _ in range(3):
            assert is_stale(pulled(replica, OLD))
    assert told.fired == 1
    replica.clock.advance(25)
    with causes(upstream):
        assert is_stale(pulled(replica, OLD))
        assert is_stale(replica.client.get(other).expect(200))
    replica.clock.advance(6)
    with causes(upstream, head(TAG, 304), head(other, 304)):
        assert not is_stale(pulled(replica, OLD))
        assert not is_stale(replica.client.get(other).expect(200))


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_head_that_lies_about_absence(
    upstream: HostileUpstream, replica: InProcess, method: str
) -> None:
    """A HEAD alone proves no absence: the GET that follows finds the tag."""
    known(upstream, replica)
    missing = upstream.inject(Status(404), method="HEAD", path=TAG)
    with causes(upstream, head(TAG, 404), get(TAG)):
        replica.client.request(method, TAG).expect(200)
    assert missing.fired == 1
    with causes(upstream):
        pulled(replica, OLD)


def test_a_head_that_names_what_isnt_there(upstream: HostileUpstream, replica: InProcess) -> None:
    """A HEAD that names a digest that can't be had is no answer either: a GET by tag is."""
    known(upstream, replica)
    name(upstream, NEW)
    other = by_digest(oci_image("nowhere"))
    digest = other.rpartition("/")[2]
    lie = upstream.inject(Header("Docker-Content-Digest", digest), method="HEAD", path=TAG)
    with causes(upstream, head(TAG), get(other, 404), get(TAG)):
        pulled(replica, NEW)
    assert lie.fired == 1
