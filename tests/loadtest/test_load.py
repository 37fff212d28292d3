"""The load tool, run as a program against a registry made of a dictionary."""

import asyncio
import json
import sys
from dataclasses import replace

import pytest

from loadtest.address import free_address, show_address
from loadtest.programs.program import environment
from loadtest.tiny import Content
from tests.loadtest.conftest import LOGIN

REPOSITORY, TAG = "team/app", "1.0"
LAYERS = [bytes([number]) * 40_000 for number in range(7)]


@pytest.fixture
def content():
    content = Content()
    layers = [content.add("application/vnd.oci.image.layer.v1.tar", data) for data in LAYERS]
    content.add_image(REPOSITORY, TAG, layers)
    return content


async def run(module, *arguments):
    """Run a module of the load tool to its end; give status, output and complaints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", module, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(),
    )
    async with asyncio.timeout(60):
        output, complaints = await process.communicate()
    return process.returncode, output.decode(), complaints.decode()


async def load(url, *arguments, reference=f"{REPOSITORY}:{TAG}"):
    options = ["--target", url, "--reference", reference, "--users", "2", "--duration", "1s"]
    return await run("loadtest.load", *options, *arguments)


async def test_every_pull_gets_a_token_and_each_blob_once(serving, content):
    url, registry = await serving(content, LOGIN)
    status, output, complaints = await load(
        url, "--json", "--user", f"{LOGIN.username}:{LOGIN.password}"
    )
    assert status == 0, complaints
    pulls = json.loads(output)["pulls"]
    assert pulls > 0
    assert registry.counts["token"] == pulls
    assert registry.counts["refused"] == pulls, "one challenge for each pull"
    assert registry.counts["manifest"] == 4 * pulls, "HEAD twice, index, manifest"
    assert registry.counts["blob"] == (len(LAYERS) + 1) * pulls
    assert json.loads(output)["bytes_per_second"] > 0


async def test_an_open_registry_is_not_asked_for_tokens(serving, content):
    url, registry = await serving(content)
    status, output, complaints = await load(url)
    assert status == 0, complaints
    assert registry.counts["token"] == 0
    assert "layer" in output
    assert "the whole pull" in output


async def test_a_digest_is_pulled_like_a_tag(serving, content):
    url, _ = await serving(content)
    digest = content.tags[REPOSITORY, TAG]
    status, _, complaints = await load(url, reference=f"{REPOSITORY}@{digest}")
    assert status == 0, complaints


async def test_wrong_bytes_are_an_error(serving, content):
    url, _ = await serving(content)
    victim = next(key for key, item in content.stored.items() if item.own == LAYERS[3])
    content.stored[victim] = replace(content.stored[victim], own=b"x" * len(LAYERS[3]))
    status, output, _ = await load(url)
    assert status == 1
    assert "the bytes don't match the digest" in output


async def test_a_short_blob_is_an_error(serving, content):
    url, _ = await serving(content)
    victim = next(key for key, item in content.stored.items() if item.own == LAYERS[3])
    content.stored[victim] = replace(content.stored[victim], own=LAYERS[3][:-1])
    status, output, _ = await load(url)
    assert status == 1
    assert "39999 bytes instead of 40000" in output


async def test_a_body_that_breaks_off_is_an_error(listening):
    async def answer(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n")
        writer.write(b"Docker-Content-Digest: sha256:" + b"0" * 64 + b"\r\n\r\n")
        writer.write(b"half of it" if request.startswith(b"GET") else b"")
        await writer.drain()

    host, port = await listening(answer)
    status, output, _ = await load(f"http://{host}:{port}")
    assert status == 1
    assert "broke off" in output


async def test_a_wrong_password_is_an_error_and_no_pull(serving, content):
    url, registry = await serving(content, LOGIN)
    status, output, complaints = await load(url, "--user", "node:wrong")
    assert status == 1
    assert "401" in output
    assert "No pull was completed" in complaints
    assert registry.counts["blob"] == 0


async def test_a_registry_that_is_not_there_is_an_error_and_not_hammered():
    status, output, _ = await load(f"http://{show_address(free_address())}", "--json")
    assert status == 1
    said = json.loads(output)
    assert said["pulls"] == 0
    assert 0 < said["failures"] < 40


@pytest.mark.parametrize(
    "arguments",
    [
        ("--target", "127.0.0.1:5000", "--reference", "a:b"),
        ("--target", "http://127.0.0.1:5000"),
        ("--target", "http://127.0.0.1:5000", "--reference", "a:b", "--users", "0"),
        ("--target", "http://127.0.0.1:5000", "--reference", "a:b", "--duration", "soon"),
    ],
)
async def test_a_wrong_command_line_is_refused_with_its_usage(arguments):
    status, _, complaints = await run("loadtest.load", *arguments)
    assert status == 2
    assert "usage:" in complaints


async def test_the_user_works_as_a_plain_locustfile(serving, content):
    url, registry = await serving(content, LOGIN)
    status, output, complaints = await run(
        "locust",
        *("--locustfile", "loadtest/containerd.py", "--headless", "--only-summary"),
        *("--host", url, "--users", "2", "--spawn-rate", "2", "--run-time", "2s"),
        *("--stop-timeout", "20"),
        *("--reference", f"{REPOSITORY}:{TAG}", "--login", f"{LOGIN.username}:{LOGIN.password}"),
    )
    assert status == 0, output + complaints
    assert registry.counts["blob"] >= len(LAYERS)
