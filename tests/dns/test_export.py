"""Exports: each region's records as files, in step with the hub, and a hook that is told."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.zone
import pytest

from hub.dns.exporting import serial_in
from tests.dns.stub_hub import TOKEN, StubHub
from tests.support.command_line import Proxima
from tests.support.processes import Process, Program, running, tail
from tests.support.waiting import wait_until

PROJECT = Path(__file__).parents[2]
DOMAIN = "registry.example.com"
CATALOGUE = """\
default = "ap-singapore"
[regions.ap-singapore]
addresses = ["203.0.113.5", "2001:db8:9::1"]
host = "sg.registry.example.com"
networks = ["10.1.0.0/16"]
fallback = ["eu-frankfurt"]
drain = false
[regions.eu-frankfurt]
addresses = ["203.0.113.17", "2001:db8:17::1"]
[regions.ap-tokyo]
addresses = ["203.0.113.25", "2001:db8:25::1"]
"""


def addresses(text: str, kind: str = "A", name: str = "@") -> list[str]:
    """Give what a zone file says of a name, as another implementation reads it."""
    zone = dns.zone.from_text(text, DOMAIN, check_origin=True)
    found = zone.get_rdataset(name, kind)
    return [] if found is None else sorted(record.to_text() for record in found)


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "regions.toml"
    path.write_text(CATALOGUE)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "zones"
    folder.mkdir()
    return folder


def test_a_catalogue_alone_gives_zones(proxima: Proxima, catalogue: Path, out: Path) -> None:
    """A file for each region, which a DNS library reads: the region's own addresses, of both
    families, and the regions' own names.
    """
    outcome = proxima("dns", "export", "--catalogue", catalogue, "--domain", DOMAIN, "--out", out)
    assert outcome.status == 0
    names = ["ap-singapore.zone", "ap-tokyo.zone", "eu-frankfurt.zone"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert sorted(outcome.output.split()) == [str(out / name) for name in names]
    frankfurt = (out / "eu-frankfurt.zone").read_text()
    assert addresses(frankfurt) == ["203.0.113.17"]
    assert addresses(frankfurt, "AAAA") == ["2001:db8:17::1"]
    assert addresses(frankfurt, name="sg") == ["203.0.113.5"]
    assert addresses(frankfurt, "NS") == ["ns"]


def test_what_says_the_same_stays(proxima: Proxima, catalogue: Path, out: Path) -> None:
    """A second export writes nothing; a drained region's clients go to its fallback, in its zone
    alone, and that zone's serial grows.
    """
    words = ("dns", "export", "--catalogue", catalogue, "--domain", DOMAIN, "--out", out)
    assert len(proxima(*words).output.split()) == 3
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert proxima(*words).output == ""
    catalogue.write_text(CATALOGUE.replace("drain = false", "drain = true"))
    assert proxima(*words).output.split() == [str(out / "ap-singapore.zone")]
    changed = (out / "ap-singapore.zone").read_bytes()
    assert addresses(changed.decode()) == ["203.0.113.17"]
    assert serial_in(changed) > serial_in(before["ap-singapore.zone"]) > 1_000_000_000


def test_one_region_and_json(proxima: Proxima, catalogue: Path) -> None:
    """Without a folder it is printed; JSON has records alone, for scripts."""
    words = ("dns", "export", "--catalogue", catalogue, "--domain", DOMAIN)
    printed = proxima(*words, "--region", "ap-tokyo", "--nameserver", "ns1.example.net")
    assert addresses(printed.output) == ["203.0.113.25"]
    assert addresses(printed.output, "NS") == ["ns1.example.net."]
    document = json.loads(proxima(*words, "--format", "json", "--region", "ap-tokyo").output)
    assert list(document["regions"]) == ["ap-tokyo"]
    shared = [
        each["content"]
        for each in document["regions"]["ap-tokyo"]["records"]
        if each["name"] == DOMAIN
    ]
    assert shared == ["203.0.113.25", "2001:db8:25::1"]
    assert len(json.loads(proxima(*words, "--format", "json").output)["regions"]) == 3


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        ((), 2, "--catalogue FILE"),
        (("--catalogue", "CATALOGUE"), 2, "--domain"),
        (("--catalogue", "none.toml", "--domain", DOMAIN), 2, "none.toml"),
        (("--catalogue", "BAD", "--domain", DOMAIN), 2, "line 1"),
        (("--catalogue", "CATALOGUE", "--domain", DOMAIN, "--region", "mars"), 1, "mars"),
        (("--catalogue", "CATALOGUE", "--domain", DOMAIN, "--hook", "true"), 2, "--out"),
        (("--catalogue", "CATALOGUE", "--domain", DOMAIN, "--out", "/none"), 2, "/none"),
        (("--hub", "http://hub.example:1", "--token-file", "TOKEN"), 2, "https"),
        (("--hub", "http://127.0.0.1:9", "--token-file", "TOKEN"), 2, "hub"),
    ],
)
def test_what_cant_be_exported_is_said(
    proxima: Proxima,
    catalogue: Path,
    token_file: Path,
    words: tuple[str, ...],
    status: int,
    told: str,
) -> None:
    """A status and a line that names what is missing or wrong."""
    bad = catalogue.with_name("bad.toml")
    bad.write_text('default = "x"\n[regions.ap-singapore]\naddresses = ["nowhere"]\n')
    files = {"CATALOGUE": str(catalogue), "BAD": str(bad), "TOKEN": str(token_file)}
    outcome = proxima("dns", "export", *(files.get(word, word) for word in words))
    assert outcome.status == status
    assert told in outcome.errors
    assert "Traceback" not in outcome.errors


def test_a_hook_in_one_shot(proxima: Proxima, catalogue: Path, out: Path) -> None:
    """It gets the files that changed, isn't run without any, and its failure is the export's."""
    words = ("dns", "export", "--catalogue", catalogue, "--domain", DOMAIN, "--out", out)
    told = out.parent / "told"
    script = f"import sys; open({str(told)!r}, 'a').write('\\n'.join(sys.argv[1:]))"
    hook = f'{sys.executable} -c "{script}"'
    assert proxima(*words, "--hook", hook).status == 0
    assert len(told.read_text().splitlines()) == 3
    told.unlink()
    assert proxima(*words, "--hook", hook).status == 0
    assert not told.exists()
    catalogue.write_text(CATALOGUE.replace("203.0.113.25", "203.0.113.26"))
    failed = proxima(*words, "--hook", "false")
    assert failed.status == 1
    assert "export.hook_failed" in failed.errors


@contextmanager
def followed(hub: StubHub, folder: Path, hook: str) -> Iterator[Process]:
    """Run an export that follows the hub into *folder*/zones."""
    (folder / "token").write_text(TOKEN)
    argv = (
        *(sys.executable, "-m", "proxy", "dns", "export", "--follow", "--hub", hub.url),
        *("--token-file", str(folder / "token"), "--out", str(folder / "zones")),
        *("--hook", hook, "--hook-limit", "10s"),
    )
    with running(Program(argv, folder / "export.log", None, {}, PROJECT)) as process:
        yield process


def test_files_follow_the_hub(hub: StubHub, tmp_path: Path, out: Path) -> None:
    """A standing that changes is in the files and at the hook within a moment, in the zones it
    changes and no other; a hook that fails is run again until it doesn't; SIGTERM ends it.
    """
    told, broken = tmp_path / "told", tmp_path / "broken"
    script = tmp_path / "hook.sh"
    script.write_text(
        f"#!/bin/sh\n[ -e {broken} ] && exit 1\nfor f; do basename $f; done >> {told}\n"
        f"echo . >> {told}\n"
    )
    script.chmod(0o755)
    zone = out / "ap-singapore.zone"

    def seen() -> list[list[str]]:
        text = told.read_text() if told.exists() else ""
        return [each.split() for each in text.split(".\n")[:-1]]

    with followed(hub, tmp_path, str(script)) as process:
        wait_until(seen, 30)
        assert len(seen()[0]) == 3
        assert addresses(zone.read_text()) == ["203.0.113.5"]
        broken.touch()
        hub.stand(ap_singapore="down")
        wait_until(lambda: addresses(zone.read_text()) == ["203.0.113.17"])
        log = tmp_path / "export.log"
        wait_until(lambda: log.read_text().count("export.hook_failed") >= 2)
        assert len(seen()) == 1
        broken.unlink()
        wait_until(lambda: len(seen()) == 2)
        assert seen()[1] == ["ap-singapore.zone"]
        hub.stop()
        hub.document = {**hub.document, "revision": "r9"}
        hub.start()
        hub.stand(ap_singapore="up")
        wait_until(lambda: addresses(zone.read_text()) == ["203.0.113.5"], 30)
        assert process.stop(signal.SIGTERM) == 0, tail(log)
    assert not [path for path in out.iterdir() if path.name.startswith(".")]
    assert zone.stat().st_mode & 0o777 == 0o644
