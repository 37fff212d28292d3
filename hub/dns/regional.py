"""The texts of an export: for each region the records that its clients should see."""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from geo.nearness import Nearness
from geo.ranking import Ranking
from geo.records import Zone
from geo.zone import zone_document, zone_text
from hub.dns.decision import ZoneFacts
from hub.dns.exporting import NotExportable, Text
from hub.dns.state import GeoState
from hub.dns.viewpoint import nearness_of, nobody_knows

JSON_NAME = "regions.json"


class Format(StrEnum):
    """How records are written."""

    ZONE = "zone"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Regional:
    """What is asked for. domain: None: the hub's. region: None: all of them."""

    format: Format
    domain: str | None = None
    nameservers: tuple[str, ...] = ()
    region: str | None = None

    def texts(self, state: GeoState) -> dict[str, Text]:
        """Give the text of each file: a zone for each region, or one document of JSON.

        Raises: NotExportable: there is no such region.
        """
        names = [each.name for each in state.catalogue.regions]
        if self.region is not None and self.region not in names:
            raise NotExportable(f"{self.region}: no such region; there are {', '.join(names)}")
        nearness = nearness_of(state, nobody_knows)
        wanted = [self.region] if self.region is not None else names
        if self.format is Format.JSON:
            text = _as_json(self._zone(state, 0), nearness, wanted)
            return {JSON_NAME: lambda _: text}
        return {
            f"{each.name}.zone": partial(self._as_zone, state, nearness.rank_from(each))
            for each in state.catalogue.regions
            if each.name in wanted
        }

    def _as_zone(self, state: GeoState, ranking: Ranking, serial: int) -> str:
        return zone_text(self._zone(state, serial), ranking)

    def _zone(self, state: GeoState, serial: int) -> Zone:
        domain = self.domain or state.domain
        nameservers = self.nameservers or (f"ns.{domain}",)
        return ZoneFacts(domain, nameservers).zone(state.ttl_seconds, serial)


def _as_json(zone: Zone, nearness: Nearness, wanted: list[str]) -> str:
    document = zone_document(zone, nearness)
    document["regions"] = {name: document["regions"][name] for name in wanted}
    return json.dumps(document, indent=2) + "\n"
