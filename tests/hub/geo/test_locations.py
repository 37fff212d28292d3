"""The database of locations at the hub: what it adds, and one that is of no use."""

import shutil
from pathlib import Path

import pytest

from hub.cli.serve import why
from hub.database import DatabaseUnavailable
from hub.geo.heard import Heard, Word
from tests.hub.api import ManualClock, serving_hub
from tests.hub.geo.catalogues import FRANKFURT, SINGAPORE, catalogue_file
from tests.support.waiting import eventually

DATA = Path(__file__).parents[2] / "data" / "geo"
SOUND, DAMAGED = "GeoIP2-City-Test.mmdb", "GeoIP2-City-Test-Invalid-Node-Count.mmdb"
IN_SWEDEN = "/v1/explain?reference=shop/api&from=89.160.20.128"


def serving(folder: Path, database: Path):
    return serving_hub(
        folder,
        geo__catalogue=str(catalogue_file(folder)),
        geo__database=str(database),
        geo__reread="100ms",
    )


async def test_a_database_locates_clients(tmp_path):
    """A client in no network goes to the region nearest to its place; a damaged file that takes the
    database's place changes nothing, is seen, and goes away with a sound one.
    """
    path = tmp_path / "places.mmdb"
    shutil.copy(DATA / SOUND, path)
    async with serving(tmp_path, path) as (hub, api):
        told = (await api.ask("GET", IN_SWEDEN)).expect(200).document
        assert (told["by"], told["answer"]["region"]) == ("database", FRANKFURT)
        assert "SE" in told["place"]
        shutil.copy(DATA / DAMAGED, path)
        await eventually(hub._geographic.note)
        assert str(path) in (await api.ask("GET", "/v1/regions")).document["note"]
        assert (await api.ask("GET", IN_SWEDEN)).document == told
        shutil.copy(DATA / SOUND, path)
        await eventually(lambda: not hub._geographic.note())
        unknown = (await api.ask("GET", IN_SWEDEN.replace("89.160.20.128", "192.0.2.1"))).document
        assert (unknown["by"], unknown["answer"]["region"]) == ("default", SINGAPORE)


@pytest.mark.parametrize("file", [DAMAGED, "nothing.mmdb"])
async def test_a_database_of_no_use_stops_the_start(tmp_path, file):
    """The hub doesn't start with a damaged database or without the one that is named."""
    with pytest.raises(ValueError, match=r"geo\.database") as caught:
        async with serving(tmp_path, DATA / file):
            pass
    assert file in why(caught.value)


class BrokenInstances:
    """Instances whose database can't be read."""

    async def list(self):
        raise DatabaseUnavailable


async def test_trouble_of_the_hub_is_no_sign_of_a_region():
    """While the hub can't read who reported, no region dies of its disk."""
    assert await Heard(BrokenInstances(), 5.0, ManualClock()).hear(SINGAPORE) is Word.UNKNOWN
