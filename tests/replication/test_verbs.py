"""What a replica's own verbs tell of replication, and let be tried again."""

import json
from collections.abc import Iterator

import pytest

from config import Address, Secret
from tests.hub.place import SENDER, SENDER_SECRET
from tests.replication.copying import REPOSITORY, Told, told
from tests.support.command_line import Proxima, proxima
from tests.support.hostile import HostileUpstream, Status
from tests.support.images import oci_image
from tests.support.ports import LOOPBACK
from tests.support.registry_client import RegistryClient
from tests.support.waiting import wait_until

TAG = "v1"
__all__ = ["proxima"]


@pytest.fixture
def replica(upstream: HostileUpstream) -> Iterator[Told]:
    upstream.contents.add(REPOSITORY, oci_image("verbs"), TAG)
    listen = {"notifications": (Address(LOOPBACK, 0),)}
    with told(
        upstream.url,
        listen=listen,
        receiving={"secret": Secret(SENDER_SECRET)},
        replication={"give_up": 60.0},
    ) as running:
        yield running


def test_a_replica_tells_its_own_log(replica: Told, proxima: Proxima) -> None:
    """`proxima logs --store` shows what became of each artifact here, by repository and state."""
    replica.tell(TAG)
    replica.wait_done()
    store = replica.running.store
    replica.running.thread.run(replica.running.replica._chain.book._sidecar.flush())
    said = proxima("logs", "--store", store, "--json", "--repository", REPOSITORY)
    (entry,) = map(json.loads, said.output.splitlines())
    assert (entry["tag"], entry["what"], entry["state"]) == (TAG, "image", "complete")
    assert entry["region"] == "test"
    assert proxima("logs", "--store", store, "--state", "failed").output == ""


def test_what_was_given_up_is_listed_and_tried_again(
    upstream: HostileUpstream, replica: Told, proxima: Proxima
) -> None:
    """`proxima replay --store` lists what was given up, and has it done once that is mended."""
    store = replica.running.store
    fault = upstream.inject(Status(403), path=r"/v2/.*/manifests/.*", times=None)
    replica.running.clock.advance(-3600)
    replica.tell(TAG)
    replica.running.clock.advance(3600)
    replica.wait_done()
    wait_until(lambda: replica.backlog == {}, what="given up")
    listed = json.loads(proxima("replay", "--store", store, "--list").output)
    assert [each["target"] for each in listed["dead"]] == [f"{REPOSITORY}:{TAG}"]
    upstream.heal()
    assert fault.fired
    assert proxima("replay", "--store", store).output.startswith("1 jobs, 0 notifications")
    done = replica.wait_done(2)[-1]
    assert (done.state, done.attempts) == ("complete", 1)


def test_what_was_not_understood_is_listed(replica: Told, proxima: Proxima) -> None:
    """What was parked is listed with its reason, and stays while it still isn't understood."""
    host, port = replica.running.replica.notification_addresses[0]
    client = RegistryClient(f"http://{host}:{port}")
    client.request("POST", "/notifications", dict(SENDER), b'{"who": "knows"}').expect(202)
    store = replica.running.store
    (letter,) = json.loads(proxima("replay", "--store", store, "--list").output)["parked"]
    assert letter["beginning"] == '{"who": "knows"}'
    said = proxima("replay", "--store", store).output
    assert "1 notifications, of which 1 still aren't understood" in said
