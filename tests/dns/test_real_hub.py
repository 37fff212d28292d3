"""The process beside a DNS server follows a real hub."""

import asyncio
import os
from pathlib import Path

import aiohttp

from hub.dns.app import DnsProcess
from proxy.serving.sockets import as_text
from proxy.telemetry.logs import EventLog
from tests.dns.serving import dns_settings
from tests.dns.stub_hub import TOKEN, StubHub
from tests.dns.test_serve import lookup
from tests.hub.place import ADMIN, Place, running_hub
from tests.support.waiting import eventually

CATALOGUE = """\
default = "ap-singapore"
[regions.ap-singapore]
addresses = ["203.0.113.5"]
networks = ["10.1.0.0/16"]
[regions.eu-frankfurt]
addresses = ["203.0.113.17"]
networks = ["10.2.0.0/16"]
"""


async def test_an_operators_word_reaches_the_answers(tmp_path: Path) -> None:
    """A region that is drained, a network that is linked and a catalogue that is edited at the hub
    are in the answers at once; when the hub ends, they stay.
    """
    catalogue, token = tmp_path / "regions.toml", tmp_path / "geo-token"
    catalogue.write_text(CATALOGUE)
    token.write_text(TOKEN)
    given = {"geo__catalogue": catalogue, "geo__token_file": token, "geo__reread": "100ms"}
    (tmp_path / "dns").mkdir()
    async with running_hub(tmp_path, geo__probe_every="10m", **given) as place:
        process = await _following(place, tmp_path / "dns")
        try:
            await eventually(lambda: process._follower.trouble == "")
            assert await _address(process, "10.2.7.0/24") == "203.0.113.17"
            revision = _revision(process)
            status, _ = await place.ask("POST", "/v1/regions/eu-frankfurt/drain", ADMIN)
            assert status == 200
            await eventually(lambda: _revision(process) != revision)
            assert await _address(process, "10.2.7.0/24") == "203.0.113.5"
            revision = _revision(process)
            catalogue.write_text(CATALOGUE.replace("203.0.113.5", "203.0.113.6"))
            await eventually(lambda: _revision(process) != revision)
            assert await _address(process, "10.1.7.0/24") == "203.0.113.6"
            await place.hub.stop()
            await eventually(lambda: process._follower.trouble != "")
            assert await _address(process, "10.1.7.0/24") == "203.0.113.6"
        finally:
            await process.stop()


async def _following(place: Place, folder: Path) -> DnsProcess:
    hub = StubHub(int(place.url.rpartition(":")[2]))
    log = EventLog(os.open(folder / "log", os.O_WRONLY | os.O_CREAT))
    process = DnsProcess(await asyncio.to_thread(dns_settings, folder, hub), log)
    await process.start()
    return process


def _revision(process: DnsProcess) -> str:
    state = process._follower.state
    assert state is not None
    return state.revision


async def _address(process: DnsProcess, client: str) -> str:
    url = f"http://{as_text(process.backend_address)}/dns"
    async with aiohttp.ClientSession() as session, session.post(url, data=lookup(client)) as answer:
        records = (await answer.json())["result"]
    (address,) = [each["content"] for each in records if each["qtype"] == "A"]
    return str(address)
