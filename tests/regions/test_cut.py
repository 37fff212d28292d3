"""Regions that are lost in the middle of pulls."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from tests.regions.place import DOMAIN, FRANKFURT, JAKARTA, SINGAPORE
from tests.support.images import big_image
from tests.support.skopeo import docker, layout
from tests.support.waiting import wait_until

LARGE_BYTES = 8 << 20
SLOW = "8mbit"
SITE = "10.11.0.50/16"
"""In a network of Singapore's, with the router on the way there."""
ANYBODY = "10.0.0.0/8"
RETRIES = 6


def test_pulls_finish_by_the_clients_own_retry(regions, containerd):
    """One region is cut off and another one killed in the middle of a pull: skopeo and containerd
    try again by themselves, and finish in the region that is left.
    """
    skopeo, other = regions.add_client("site", SITE), regions.client(JAKARTA)
    node = other.node(containerd)
    image = regions.publish("shop/large:1", big_image(LARGE_BYTES))
    copy = regions.files.folder / "copy"

    with ThreadPoolExecutor(2) as pool, ExitStack() as slow:
        for client in (skopeo, other):
            slow.enter_context(_slow(client))
        pulls = [
            pool.submit(_pull_with_retries, skopeo, copy),
            pool.submit(_pull_again_and_again, regions, node),
        ]
        wait_until(lambda: _is_served(regions, SINGAPORE, JAKARTA), 15.0, "both began")
        # clients' own patience with a peer that says nothing is minutes: this router resets
        regions.hosts.reset(ANYBODY, SINGAPORE.address)
        regions.replica(JAKARTA).kill()
        assert not any(each.done() for each in pulls), "a pull was over before its region was lost"
        slow.close()
        for each in pulls:
            each.result(90.0)
    assert regions.hosts.stopped_packets()
    for each in image.all_blobs():
        assert (copy / "blobs" / each.digest.replace(":", "/")).read_bytes() == each.data
        assert each.digest in node.digests()
    wait_until(lambda: _clients_in_frankfurt(regions) >= 2, 10.0, "Frankfurt says so")


def _pull_with_retries(client, copy):
    source, target = docker(DOMAIN, "shop/large:1"), layout(copy)
    client.skopeo.copy(source, target, f"--retry-times={RETRIES}").check()


def _pull_again_and_again(regions, node):
    """Pull as a kubelet does, which tries again."""

    def is_pulled():
        return node.pull(f"{DOMAIN}/shop/large:1", credentials=regions.user).status == 0

    wait_until(is_pulled, 60.0, "containerd has it")


def _is_served(regions, *places):
    """Whether all manifests have been pulled there, so that the layer is under way."""
    pulls = regions.pulls("shop/large")
    return all(pulls[place.name] for place in places)


def _clients_in_frankfurt(regions):
    return sum(name == FRANKFURT.name for name, _ in regions.pulls_from("shop/large"))


@contextmanager
def _slow(client):
    client.host.throttle(SLOW)
    try:
        yield
    finally:
        client.host.unthrottle()
