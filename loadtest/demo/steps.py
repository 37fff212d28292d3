"""The demo's steps, in order: what is done, what it cost, and what was promised."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from loadtest.demo.client import Client
from loadtest.demo.measure import measure
from loadtest.demo.promise import (
    Cost,
    as_fast_as,
    crosses_once,
    nothing_fetched_back,
    stays_in_region,
    uses_the_link,
    works_without_primary,
)
from loadtest.demo.scene import SHARE, Region, Scene
from loadtest.demo.table import Row
from loadtest.image import Image, make_image

LAYER_SIZES_BYTES = (48_000_000, 24_000_000, 16_000_000, 8_000_000, 4_000_000)
CROWD = 16


class Steps:
    """The steps on one scene, with three images: pulled, pulled by a crowd, pushed and pulled."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._clients = 0

    def prepare(self) -> tuple[Image, Image, Image]:
        """Make the images and push the first two at the primary itself, not over the link."""
        first, second, third = (
            make_image(self._scene.folder / f"image{number}", number, LAYER_SIZES_BYTES, tag)
            for number, tag in enumerate(("1.0", "2.0", "3.0"))
        )
        publisher = self._client(self._scene.primary.place)
        publisher.push(first)
        publisher.push(second)
        return first, second, third

    def run(self, first: Image, second: Image, third: Image) -> Iterator[Row]:
        """Give a row as each step ends.

        Raises: ProgramFailed: a client couldn't do its work.
        """
        replica = self._scene.near.replica.address
        direct = self._pull(self._scene.near.link.address, first)
        yield Row("pull from the primary, over the link", direct, direct=direct)
        cold = self._pull(replica, first)
        yield Row("pull through the replica, cold", cold, as_fast_as(direct, first, cold), direct)
        warm = self._pull(replica, first)
        yield Row("the same again, warm", warm, stays_in_region(direct, warm), direct)
        crowd = self._pull(replica, second, clients=CROWD)
        yield Row(f"{CROWD} clients at once, cold", crowd, crosses_once(second, crowd), direct)
        yield Row("push through the replica", self._push(third), direct=direct)
        pushed = self._pull(replica, third)
        yield Row("pull what was pushed", pushed, nothing_fetched_back(pushed), direct)
        yield from self._over_the_shared_link(first, direct)
        if self._scene.primary.registry is not None:
            self._scene.primary.registry.end()
            outage = self._outage(first, third)
            yield Row(
                "primary stopped: new logins, both pulls",
                outage,
                works_without_primary(outage),
                direct,
            )

    def _over_the_shared_link(self, image: Image, unshared: Cost) -> Iterator[Row]:
        far = self._scene.far
        direct = self._pull(far.link.address, image, region=far)
        yield Row(f"each connection 1/{SHARE} of the link: direct", direct, direct=unshared)
        cold = self._pull(far.replica.address, image, region=far)
        yield Row(
            "through a replica there, cold", cold, uses_the_link(direct, image, cold), unshared
        )

    def _client(self, registry: str) -> Client:
        self._clients += 1
        folder = self._scene.folder / f"client{self._clients}"
        primary = self._scene.primary
        return Client(folder, registry, primary.repository, primary.login)

    def _pull(
        self, registry: str, image: Image, clients: int = 1, region: Region | None = None
    ) -> Cost:
        """Let new clients pull *image* at once; only the pulls are timed."""
        crowd = [self._client(registry) for _ in range(clients)]
        with ThreadPoolExecutor(clients) as pool:
            link = (region or self._scene.near).link
            cost = measure(link, lambda: list(pool.map(lambda client: client.pull(image), crowd)))
        for client in crowd:
            client.check(image)
        return cost

    def _push(self, image: Image) -> Cost:
        client = self._client(self._scene.near.replica.address)
        return measure(self._scene.near.link, lambda: client.push(image))

    def _outage(self, *images: Image) -> Cost:
        def log_in_and_pull() -> None:
            for image in images:
                client = self._client(self._scene.near.replica.address)
                client.pull(image)
                client.check(image)

        return measure(self._scene.near.link, log_in_and_pull)
