"""The second part: what is pushed to the primary arrives in each region before anybody pulls."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from loadtest.demo.client import Client
from loadtest.demo.fleet import NEWS_TAG, PLACES, Fleet, ToldRegion
from loadtest.demo.measure import measure
from loadtest.demo.promise import (
    Cost,
    asks_only_for_the_right,
    crosses_nothing,
    crosses_once,
    fetches_no_blob,
    is_unknown,
)
from loadtest.demo.shell import Shell
from loadtest.demo.table import Row, Table
from loadtest.demo.waiting import wait_until
from loadtest.image import Image, make_image
from loadtest.link import LinkCounts
from loadtest.programs import ProgramFailed
from loadtest.units import show_bytes, show_seconds

LAYER_SIZES_BYTES = (16_000_000, 6_000_000, 2_000_000)


class News:
    """What happens, told as it happens; rows go to one table."""

    def __init__(self, fleet: Fleet, table: Table) -> None:
        self._fleet = fleet
        self._table = table
        self._shell = Shell(fleet.hub.operator)
        self._repository = fleet.primary.repository
        self._clients = 0

    def run(self) -> None:
        """Do all of it.

        Raises: ProgramFailed
        """
        image = make_image(self._fleet.folder / "image4", 4, LAYER_SIZES_BYTES, NEWS_TAG)
        self._join()
        arrived = self._push(image)
        self._table.open()
        for region, cost in zip(self._fleet.regions, arrived, strict=True):
            promise = crosses_once(image, cost)
            self._table.add(Row(f"pushed, then complete in {region.name}", cost, promise))
        for region in self._fleet.regions:
            for row in self._pulls(region, image):
                self._table.add(row)
        print()
        self._delete(image)

    def _join(self) -> None:
        self._shell.open()
        for place in PLACES:
            token_file = str(self._fleet.token_file(place))
            self._shell.run(
                "replicas", "create", "--region", place.name, "--write-token", token_file
            )
            joined = self._fleet.join(place)
            self._shell.show("replica", *joined.flags)
        wait_until(self._is_everybody_following, "each replica follows the hub")
        self._shell.run("replicas", "list")

    def _push(self, image: Image) -> list[Cost]:
        """Push *image* to the primary; give what its way to each region took."""
        before = self._counts()
        publisher = self._client(self._fleet.primary.place)
        started = time.monotonic()
        publisher.push(image)
        seconds, pushed_at = time.monotonic() - started, time.time()
        print(
            f"{self._repository}:{image.tag}, {show_bytes(image.total_bytes)}, was pushed to the"
            f" primary itself, in {show_seconds(seconds)}. Nobody pulls it.\n"
        )
        self._tell("manifest.pushed", image)
        self._shell.run("wait", f"{self._repository}@{image.digest}", "--all", "--timeout", "60s")
        arrived = self._costs(before, pushed_at, self._entries(image, "image"))
        self._shell.run("logs", "--repository", self._repository)
        self._shell.run("replicas", "list")
        return arrived

    def _pulls(self, region: ToldRegion, image: Image) -> Iterator[Row]:
        link, replica = region.link, region.replica
        far = show_seconds(region.place.round_trip_seconds)
        direct = self._pull(region, link.address, image)
        yield Row(f"pull from the primary, {far} away", direct, direct=direct)
        # Without a proof that notifications arrive there is no lease, and tags are asked about.
        is_proven = self._fleet.primary.registry is not None
        first = self._pull(region, replica.address, image)
        promise = asks_only_for_the_right(first) if is_proven else fetches_no_blob(first)
        yield Row(f"pull in {region.name}", first, promise, direct)
        again = self._pull(region, replica.address, image)
        promise = crosses_nothing(again) if is_proven else fetches_no_blob(again)
        yield Row("the same again, by another client", again, promise, direct)

    def _pull(self, region: ToldRegion, registry: str, image: Image) -> Cost:
        client = self._client(registry)
        cost = measure(region.link, lambda: client.pull(image))
        client.check(image)
        return cost

    def _delete(self, image: Image) -> None:
        """Delete *image* at the primary, and see it gone in each region."""
        before = self._counts()
        publisher = self._client(self._fleet.primary.place)
        try:
            publisher.delete(image)
        except ProgramFailed as error:
            if self._fleet.primary.registry is not None:
                raise
            print(f"The primary doesn't delete, so that isn't shown: {error}")
            return
        deleted_at = time.time()
        print(f"{self._repository}:{image.tag} was deleted at the primary.\n")
        self._tell("manifest.deleted", image)
        gone = self._costs(before, deleted_at, self._entries(image, "deletion"))
        self._shell.run("logs", "--repository", self._repository, "--tag", image.tag)
        self._table.open()
        for region, cost in zip(self._fleet.regions, gone, strict=True):
            is_found = self._client(region.replica.address).finds(image)
            row = f"deleted, then gone in {region.name}"
            self._table.add(Row(row, cost, is_unknown(is_found=is_found)))

    def _counts(self) -> list[LinkCounts]:
        return [region.link.counts() for region in self._fleet.regions]

    def _costs(
        self, before: list[LinkCounts], since: float, entries: Mapping[str, dict[str, Any]]
    ) -> list[Cost]:
        """Give what it took each region, by its entry of the log."""
        costs = []
        for region, was, now in zip(self._fleet.regions, before, self._counts(), strict=True):
            seconds = max(0.0, entries[region.name]["ended_at"] - since)
            down_bytes, up_bytes = now.down_bytes - was.down_bytes, now.up_bytes - was.up_bytes
            costs.append(Cost(seconds, down_bytes, up_bytes))
        return costs

    def _entries(self, image: Image, what: str) -> dict[str, dict[str, Any]]:
        """Give, by region, what the log says of the tag once each region is done with it."""
        query = f"/v1/logs?repository={self._repository}&tag={image.tag}&state=complete"

        def done() -> dict[str, dict[str, Any]]:
            entries = self._fleet.hub.ask(query)["entries"]
            return {entry["region"]: entry for entry in entries if entry["what"] == what}

        wait_until(lambda: len(done()) == len(PLACES), f"each region's log has the {what}")
        return done()

    def _is_everybody_following(self) -> bool:
        replicas = self._fleet.hub.ask("/v1/replicas")["replicas"]
        return all(replica["status"] and replica["status"]["cursor"] for replica in replicas)

    def _tell(self, event: str, image: Image) -> None:
        """Tell the hub what happened, where the primary can't."""
        if self._fleet.primary.registry is not None:
            return
        document = {
            "version": 1,
            "event": event,
            "repository": self._repository,
            "tag": image.tag,
            "digest": image.digest,
        }
        self._fleet.hub.notify(document)
        print(f"The primary's settings aren't ours: {event} was posted to the hub instead.\n")

    def _client(self, registry: str) -> Client:
        self._clients += 1
        folder = self._fleet.folder / f"client{self._clients}"
        return Client(folder, registry, self._repository, self._fleet.primary.login)
