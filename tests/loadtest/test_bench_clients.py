"""The benchmarks' clients measure what they say, and a failed download is never a fast one."""

import asyncio
import time

import pytest

from loadtest.bench.bare import BareHandler
from loadtest.bench.client import Client, Got
from loadtest.bench.crowd import CrowdClient
from loadtest.bench.curl import download_at_once, download_in_turn, downloading
from loadtest.bench.wrk import Endpoint, drive
from loadtest.programs import ProgramFailed
from loadtest.tiny import Content
from tests.loadtest.conftest import LOGIN
from tests.support.processes import is_installed

SIZE = 300_000
LATE_SECONDS = 0.15
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


def needs(program):
    return pytest.mark.skipif(not is_installed(program), reason=f"{program} is not installed")


@pytest.fixture
async def place(serving):
    """Gives the URL of a blob."""
    content = Content()
    blob = content.add("application/octet-stream", bytes(SIZE))
    url, _ = await serving(content)
    return f"{url}/v2/team/app/blobs/{blob['digest']}"


def late_body(size_sent):
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD % SIZE)
        await asyncio.sleep(LATE_SECONDS)
        writer.write(bytes(size_sent))
        await writer.drain()

    return answer


@needs("gcc")
async def test_a_crowd_counts_first_bytes_of_the_body_not_of_the_head(listening, tmp_path):
    host, port = await listening(late_body(SIZE))
    client = CrowdClient(tmp_path)
    crowd = await asyncio.to_thread(client.download, f"http://{host}:{port}/x", 20)
    assert len(crowd.first_bytes_seconds) == 20
    assert min(crowd.first_bytes_seconds) >= LATE_SECONDS * 0.9
    assert crowd.wall_seconds >= LATE_SECONDS * 0.9


@needs("gcc")
async def test_a_crowd_of_which_one_got_half_has_failed(listening, tmp_path):
    host, port = await listening(late_body(SIZE // 2))
    with pytest.raises(ProgramFailed, match="3 of 3 downloads failed"):
        await asyncio.to_thread(CrowdClient(tmp_path).download, f"http://{host}:{port}/x", 3)


@needs("gcc")
async def test_a_crowd_that_is_refused_has_failed(place, tmp_path):
    with pytest.raises(ProgramFailed, match="2 of 2 downloads failed"):
        await asyncio.to_thread(CrowdClient(tmp_path).download, f"{place}0", 2)


@needs("curl")
async def test_curl_gives_size_and_times_of_the_last_of_a_row(place):
    transfer = await asyncio.to_thread(download_in_turn, [place, place])
    assert transfer.size_bytes == SIZE
    assert 0 < transfer.first_byte_seconds <= transfer.seconds


@needs("curl")
async def test_curl_downloads_many_at_once(place, tmp_path):
    downloads = await asyncio.to_thread(download_at_once, [place] * 10, tmp_path)
    assert [transfer.size_bytes for transfer in downloads.transfers] == [SIZE] * 10


@needs("curl")
async def test_curl_that_is_refused_has_failed(place, tmp_path):
    with pytest.raises(ProgramFailed, match="1 of 2"):
        await asyncio.to_thread(download_at_once, [place, f"{place}0"], tmp_path)


@needs("curl")
async def test_background_downloads_that_end_too_early_are_no_background(place, tmp_path):
    def watch():
        with downloading([place], tmp_path, name="readers", rate="1G"):
            time.sleep(1.0)

    with pytest.raises(ProgramFailed, match="over too early"):
        await asyncio.to_thread(watch)


@needs("wrk")
async def test_wrk_gives_requests_and_bytes_a_second(place, tmp_path):
    pace = await asyncio.to_thread(drive, Endpoint(place, {"Accept": "*/*"}), 2, 1.0, tmp_path)
    assert pace.requests_per_second > 1
    assert pace.bytes_per_second == pytest.approx(pace.requests_per_second * SIZE, rel=0.2)
    assert 0 < pace.p50_seconds <= pace.p99_seconds


@needs("wrk")
async def test_wrk_that_is_refused_has_failed(place, tmp_path):
    with pytest.raises(ProgramFailed, match="errors"):
        await asyncio.to_thread(drive, Endpoint(f"{place}0", {}), 1, 1.0, tmp_path)


def test_the_bare_handler_answers_with_the_same_body_and_headers(tmp_path):
    answer = Got(200, {"content-type": "application/x.y", "etag": '"1"', "date": "now"}, b"\0body")
    with BareHandler(tmp_path, answer) as bare:
        got = Client(bare.url, "team/app").get("manifests/1.0")
    assert got.body == answer.body
    assert got.headers["content-type"] == "application/x.y"
    assert got.headers["etag"] == '"1"'
    assert got.headers["date"] != "now"


async def test_the_patient_client_gets_a_token_where_it_is_asked_for_one(serving):
    content = Content()
    content.add_image("team/app", "1.0", [])
    url, registry = await serving(content, LOGIN)
    client = Client(url, "team/app", LOGIN)
    for _ in range(2):
        got = await asyncio.to_thread(client.get, "manifests/1.0")
        assert got.status == 200
    assert registry.counts["token"] == 1
