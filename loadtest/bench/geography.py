"""Three regions on this machine's loopback, the hub that looks after them, and their DNS."""

import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from loadtest.address import Address, free_port
from loadtest.image import Image, make_image
from loadtest.place import Place, write_catalogue
from loadtest.programs import (
    DnsProgram,
    Hub,
    PowerDns,
    Replica,
    Skopeo,
    StockRegistry,
    Zone,
    new_secret,
)
from loadtest.programs.settings import Section, Sections

DATABASE = Path(__file__).parents[2] / "tests" / "data" / "geo" / "GeoIP2-City-Test.mmdb"
DOMAIN = "registry.bench.test"
REPOSITORY = "bench/app"
TAG = "1"
PROBE_SECONDS = 1.0
TTL_SECONDS = 2

_NAMES = ("na-toronto", "eu-frankfurt", "sa-saopaulo")
_ANSWER_SECONDS = 2.0
_A = 1


PLACES = tuple(Place(name, number) for number, name in enumerate(_NAMES, 1))


@dataclass(frozen=True, slots=True)
class Geography:
    """What runs. port: where every region answers the shared name."""

    hub: Hub
    replicas: tuple[Replica, ...]
    dns: DnsProgram
    server: PowerDns
    port: int
    image: Image


@contextmanager
def running(room: Path) -> Iterator[Geography]:
    """Run a primary with one small image, a hub, three replicas and DNS for the block's length.

    Raises: ProgramFailed
    """
    room.mkdir(parents=True, exist_ok=True)
    port = free_port(place.address for place in PLACES)
    token = room / "dns-token"
    new_secret(token)
    with ExitStack() as stack:
        primary = stack.enter_context(StockRegistry(room / "primary", name="primary"))
        image = make_image(room / "image", 5, (20_000,), TAG)
        skopeo = Skopeo(room / "publisher")
        skopeo.copy(image.place, f"docker://{primary.address}/{REPOSITORY}:{TAG}")
        replicas = tuple(
            stack.enter_context(_replica(room / place.name, place, primary, port))
            for place in PLACES
        )
        settings: Sections = {
            "primary": {"id": "bench", "domain": DOMAIN},
            "geo": _geo(room, port, token),
        }
        hub = stack.enter_context(Hub(room / "hub", primary=primary.url, settings=settings))
        database = DATABASE if DATABASE.exists() else None
        dns = DnsProgram(room / "dns", hub, Zone(DOMAIN, token, database))
        stack.enter_context(dns)
        server = stack.enter_context(PowerDns.beside(dns, room / "powerdns"))
        yield Geography(hub, replicas, dns, server, port, image)


def _replica(folder: Path, place: Place, primary: StockRegistry, port: int) -> Replica:
    listen: Section = {"registry": [f"{place.address}:{port}"], "names": [DOMAIN]}
    return Replica(folder, primary=primary.url, settings={"listen": listen}, name=place.name)


def _geo(room: Path, port: int, token: Path) -> Section:
    catalogue = room / "regions.toml"
    write_catalogue(catalogue, PLACES)
    return {
        "catalogue": str(catalogue),
        "token_file": str(token),
        "port": port,
        "tls": False,
        "ttl": f"{TTL_SECONDS}s",
        "probe_every": f"{PROBE_SECONDS:g}s",
        "canary": f"{REPOSITORY}:{TAG}",
    }


def resolve(server: Address, source: str, name: str = DOMAIN) -> str:
    """Give the first address that a DNS server has for a name, asked from an address of ours.

    Raises: OSError: no answer; LookupError: none with an address.
    """
    labels = b"".join(bytes((len(each),)) + each.encode() for each in name.split("."))
    question = labels + b"\0" + struct.pack(">HH", _A, 1)
    head = struct.pack(">HHHHHH", secrets.randbits(16), 0x0100, 1, 0, 0, 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(_ANSWER_SECONDS)
        asking.bind((source, 0))
        asking.connect(server)
        asking.send(head + question)
        answer = asking.recv(4096)
    answers = struct.unpack(">H", answer[6:8])[0]
    if answers == 0 or answer[:2] != head[:2]:
        raise LookupError(f"{name}: no address")
    # The name of the first record is a pointer to the question: 12 bytes, then the address.
    record = answer[len(head) + len(question) :]
    return socket.inet_ntoa(record[12:16])
