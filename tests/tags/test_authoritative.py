"""What the primary says of a tag is the answer; and it takes two such answers to remove one."""

import pytest

from tests.fills.calls import causes, get, head
from tests.fills.in_process import InProcess
from tests.support.hostile import MANIFESTS, HostileUpstream, Status
from tests.support.store_tree import tags
from tests.tags.scene import OLD, TAG, by_digest, is_stale, known, pulled

CONFIRM_SECONDS = 5.0

ANSWERS = {
    "401": (Status(401), 401, "UNAUTHORIZED"),
    "403": (Status(403), 403, "DENIED"),
    "404-manifest": (Status(404, "MANIFEST_UNKNOWN"), 404, "MANIFEST_UNKNOWN"),
    "404-name": (Status(404, "NAME_UNKNOWN"), 404, "NAME_UNKNOWN"),
    "412": (Status(412, "DENIED"), 412, "DENIED"),
    "451": (Status(451, "DENIED"), 451, "DENIED"),
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_refusal_is_the_answer(
    upstream: HostileUpstream, replica: InProcess, name: str, method: str
) -> None:
    """C16, F12: 401, 403, 404, 412 and 451 are never answered from here, and remove nothing."""
    fault, status, code = ANSWERS[name]
    known(upstream, replica)
    refusal = upstream.inject(fault, path=MANIFESTS, times=None)
    reply = replica.client.request(method, TAG).expect(status)
    assert refusal.fired
    assert not is_stale(reply)
    if method == "GET":
        assert reply.error_codes == [code]
    assert replica.events("tag.stale") == []
    assert tags(replica.store, "app") == {"v1": OLD.digest}
    upstream.heal()
    replica.clock.advance(3)
    assert not is_stale(pulled(replica, OLD))


def gone(upstream: HostileUpstream, replica: InProcess) -> None:
    """Let the tag be known here and gone at the primary."""
    known(upstream, replica)
    del upstream.contents.repository("app").tags["v1"]


def test_two_confirmed_404s_remove_a_tag(upstream: HostileUpstream, replica: InProcess) -> None:
    """C16, settled 11: the second 404, five seconds after the first, removes the tag here; what it
    named stays readable by digest.
    """
    gone(upstream, replica)
    with causes(upstream, head(TAG, 404), get(TAG, 404)):
        replica.client.get(TAG).expect(404)
    assert tags(replica.store, "app") == {"v1": OLD.digest}
    replica.clock.advance(CONFIRM_SECONDS)
    replica.client.get(TAG).expect(404)
    assert tags(replica.store, "app") == {}
    (event,) = replica.events("tag.removed")
    assert (event["tag"], event["digest"]) == ("v1", OLD.digest)
    assert replica.client.get(by_digest(OLD)).expect(200).body == OLD.data
    upstream.cut()
    replica.client.get(TAG).expect(503)


def test_two_404s_in_a_row_are_one(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 11: 404s less than five seconds apart remove nothing; in an outage that follows the
    tag is still known.
    """
    gone(upstream, replica)
    for _ in range(3):
        replica.client.get(TAG).expect(404)
    assert tags(replica.store, "app") == {"v1": OLD.digest}
    assert replica.events("tag.removed") == []
    upstream.cut()
    assert is_stale(pulled(replica, OLD))


def test_a_404_in_between_is_forgotten(upstream: HostileUpstream, replica: InProcess) -> None:
    """Settled 11: a tag that was seen again between two 404s isn't removed by the second."""
    gone(upstream, replica)
    replica.client.get(TAG).expect(404)
    upstream.contents.repository("app").tags["v1"] = OLD.digest
    pulled(replica, OLD)
    del upstream.contents.repository("app").tags["v1"]
    replica.clock.advance(60)
    replica.client.get(TAG).expect(404)
    assert tags(replica.store, "app") == {"v1": OLD.digest}


def test_a_missing_tag_is_asked_about_each_time(
    upstream: HostileUpstream, replica: InProcess
) -> None:
    """Settled 35: a tag that is gone is not remembered as gone: it may come back at any moment."""
    gone(upstream, replica)
    replica.client.get(TAG).expect(404)
    upstream.contents.repository("app").tags["v1"] = OLD.digest
    assert not is_stale(pulled(replica, OLD))


def test_an_unknown_tag_is_the_primarys_404(upstream: HostileUpstream, replica: InProcess) -> None:
    """A tag that neither side knows is 404, one GET each time."""
    known(upstream, replica)
    unknown = TAG.replace("v1", "v9")
    with causes(upstream, get(unknown, 404), get(unknown, 404)):
        for _ in range(2):
            assert replica.client.get(unknown).expect(404).error_codes == ["MANIFEST_UNKNOWN"]
