"""Three regions as operators run them: a primary, a hub, a DNS server, replicas, and clients."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.hub.place import ADMIN_TOKEN, SENDER
from tests.hub.process import PROJECT, HubProcess
from tests.regions.client import Client, client_on
from tests.regions.place import (
    CANARY,
    CANARY_TAG,
    CORE,
    DOMAIN,
    HUB,
    HUB_NAMES,
    NOWHERE,
    PLACES,
    PROBE_SECONDS,
    READER,
    RESOLVER,
    USER,
    Files,
    Place,
    dns_settings,
    front_config,
    hub_sections,
    replica_settings,
)
from tests.support.accounts import Credentials
from tests.support.certificates import Authority, ServerFiles
from tests.support.images import Manifest, oci_image
from tests.support.namespaces import Host, World, world
from tests.support.processes import Completed, Process, Program, ProgramFailed, tail
from tests.support.pushing import push
from tests.support.registries import Htpasswd, Registry, docker_registry
from tests.support.registry_client import RegistryClient, Reply
from tests.support.replica import Replica
from tests.support.toml import write_toml
from tests.support.waiting import wait_until

GEO_TOKEN = "31a7a3b1f0b9473fbc9bb27b3f8f53c2"
POWERDNS = PROJECT / "deploy" / "powerdns" / "pdns.conf"
START_SECONDS = 40.0


@dataclass(slots=True)
class Regions:
    """All of it; `clients` by the name of their region, "" for the one in no region's network."""

    hosts: World
    files: Files
    hub: HubProcess
    core: Host
    primary: Registry
    replicas: dict[str, Replica] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)

    # --- the registry -----------------------------------------------------------------------------

    def publish(self, name: str, image: Manifest | None = None) -> Manifest:
        """Push an image to the primary as *name* (`repository:tag`)."""
        repository, _, tag = name.partition(":")
        pushed = image or oci_image(repository.replace("/", "-"))
        publisher = RegistryClient(self.primary.url, USER, self.files.ca_file)
        self.core.inside(lambda: push(publisher, repository, pushed, tag or "latest"))
        return pushed

    def pulls(self, repository: str) -> dict[str, int]:
        """Count the pulls of a repository that each region's replica has logged."""
        return {
            name: sum(each["repository"] == repository for each in replica.events("pull.served"))
            for name, replica in self.replicas.items()
        }

    def served_by(self, repository: str) -> set[str]:
        """Give the regions that served pulls of a repository, as soon as one says so."""
        wait_until(lambda: any(self.pulls(repository).values()), 10.0, f"a pull of {repository}")
        return {name for name, count in self.pulls(repository).items() if count}

    # --- the hub ----------------------------------------------------------------------------------

    def ask(self, method: str, path: str, document: object = None) -> Reply:
        """Ask the hub as an operator."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        if document is not None:
            headers["Content-Type"] = "application/json"
        body = json.dumps(document).encode() if document is not None else b""
        client = RegistryClient(f"https://{HUB}", ca_file=self.files.ca_file)
        return self.core.inside(lambda: client.request(method, path, headers, body))

    def proxima(self, *argv: str) -> Completed:
        """Run a verb of operators beside the hub."""
        way = ["--hub", f"https://{HUB}", "--ca-file", str(self.files.ca_file)]
        way += ["--token-file", str(self.files.folder / "admin-token")]
        command = [sys.executable, "-m", "proxy", *argv, *way]
        return self.core.run(*command, environment={"PYTHONPATH": str(PROJECT)})

    def region(self, place: Place) -> dict[str, Any]:
        """Give what the hub says of a region."""
        found = self.ask("GET", "/v1/regions").expect(200).json()["regions"]
        return next(each for each in found if each["name"] == place.name)

    def explain(self, reference: str, address: str) -> dict[str, Any]:
        """Give what the hub says of where a client goes with an image."""
        path = f"/v1/explain?reference={quote(reference)}&from={address}"
        found: dict[str, Any] = self.ask("GET", path).expect(200).json()
        return found

    def pulls_from(self, repository: str) -> set[tuple[str, str]]:
        """Give region and client of each pull of a repository that is logged."""
        return {
            (name, each["client"])
            for name, replica in self.replicas.items()
            for each in replica.events("pull.served")
            if each["repository"] == repository
        }

    def has(self, place: Place, reference: str) -> bool:
        """Say whether the hub knows that a region has all of an image."""
        told = self.explain(reference, self.client(place).host.address)["regions"]
        return any(each["region"] == place.name and each["is_complete"] for each in told)

    def wait_standing(self, place: Place, standing: str, timeout_seconds: float = 20.0) -> None:
        """Wait until the hub says that a region is up, down or drained."""
        wait_until(
            lambda: self.region(place)["standing"] == standing,
            timeout_seconds,
            f"{place.name} is {standing}",
        )

    # --- where clients go -------------------------------------------------------------------------

    @property
    def user(self) -> Credentials:
        return USER

    @property
    def nowhere(self) -> Client:
        return self.clients[""]

    def add_client(self, name: str, address: str) -> Client:
        """Add a client at *address* (with its prefix length)."""
        host = self.hosts.add(name, address, resolver=RESOLVER)
        return client_on(host, self.files.folder / host.name, self.files.ca_file)

    def client(self, place: Place) -> Client:
        return self.clients[place.name]

    def replica(self, place: Place) -> Replica:
        return self.replicas[place.name]

    def host(self, place: Place) -> Host:
        """Give the host of a region's replica."""
        return self.hosts.hosts[place.label]

    def wait_answers(
        self, client: Client, places: Sequence[Place], timeout_seconds: float = 20.0
    ) -> None:
        """Wait until a client is told of one of *places*."""
        wanted = {place.address for place in places}

        def is_told() -> bool:
            told = client.dig()
            return bool(told) and wanted.issuperset(told)

        wait_until(is_told, timeout_seconds, f"an answer of {wanted}")


# --- how it comes about ---------------------------------------------------------------------------


@contextmanager
def three_regions(folder: Path, probe_seconds: float = PROBE_SECONDS) -> Iterator[Regions]:
    """Run all of it for the length of the block; all regions are up when it begins."""
    with ExitStack() as stack:
        hosts = stack.enter_context(world(folder / "hosts"))
        core = hosts.add("core", CORE)
        files = _files(folder)
        sections = hub_sections(files, GEO_TOKEN, probe_seconds)
        hub = HubProcess(folder, HUB, folder / "hub.db", sections, core.command([]))
        hub.launch()
        stack.callback(_end_hub, hub)
        primary = stack.enter_context(_primary(folder, files, core))
        made = Regions(hosts, files, hub, core, primary)
        _add_hosts(made)
        hub.wait_ready()
        made.publish(f"{CANARY}:{CANARY_TAG}")
        wait_for_dns = _launch_dns(stack, made, folder)
        waits = [_launch_replica(stack, made, place, folder) for place in PLACES]
        waits.append(wait_for_dns)
        for wait in waits:
            wait()
        _wait_until_all_serve(made)
        yield made


def _files(folder: Path) -> Files:
    authority = Authority(_made(folder / "authority"))
    issued = {"hub": authority.issue(*HUB_NAMES), "primary": authority.issue(DOMAIN, RESOLVER)}
    for place in PLACES:
        issued[place.name] = authority.issue(DOMAIN, place.host_name, place.address)
    tls = {name: (each.certificate, each.key) for name, each in issued.items()}
    files = Files(folder, authority.ca_file, tls)
    files.write("admin-token", ADMIN_TOKEN)
    return files


def _primary(folder: Path, files: Files, core: Host):
    return docker_registry(
        folder / "primary",
        Htpasswd((READER, USER)),
        tls=ServerFiles(*files.tls["primary"]),
        notify=[f"https://{HUB}/notifications"],
        notify_with=SENDER,
        trusting=files.ca_file,
        host=core,
    )


def _add_hosts(made: Regions) -> None:
    for place in PLACES:
        made.hosts.add(place.label, place.replica)
        made.clients[place.name] = made.add_client(f"{place.label}-c", place.client)
    made.clients[""] = made.add_client("nowhere", NOWHERE)


def _launch_replica(
    stack: ExitStack, made: Regions, place: Place, folder: Path
) -> Callable[[], None]:
    """Make and launch a region's replica, with its front end; give the wait until it is ready."""
    own = _made(folder / place.label)
    reply = made.ask("POST", "/v1/replicas", {"region": place.name}).expect(201)
    token = made.files.write(f"{place.label}.token", reply.json()["token"])
    arguments = ["--join", f"https://{HUB}", "--token-file", str(token)]
    arguments += ["--hub-ca-file", str(made.files.ca_file)]
    host = made.host(place)
    settings = replica_settings(place, made.files, own / "store")
    replica = Replica(own, settings, tuple(host.command([])), arguments=tuple(arguments))
    made.replicas[place.name] = replica
    replica.launch()
    stack.callback(_end_replica, replica)
    if place.front:
        config = made.files.write(f"{place.label}.cfg", front_config(place, made.files))
        argv = host.command(["haproxy", "-db", "-f", str(config)])
        _launch(stack, argv, own / "haproxy.log")
    return replica.wait_ready


def _launch_dns(stack: ExitStack, made: Regions, folder: Path) -> Callable[[], None]:
    """Launch who decides for the DNS server; give the wait for it, which starts the server."""
    own = _made(folder / "dns")
    config = write_toml(own / "dns.toml", dns_settings(made.files, own))
    serve = [sys.executable, "-m", "proxy", "dns", "serve", "--config", str(config)]
    deciding = _launch(stack, made.core.command(serve), own / "serve.log")
    argv = ["pdns_server", f"--config-dir={POWERDNS.parent}", f"--socket-dir={own}"]
    argv += [f"--local-address={RESOLVER}", "--daemon=no", "--guardian=no"]

    def wait() -> None:
        _wait_for(deciding, lambda: '"dns.ready"' in tail(deciding.program.log))
        answering = _launch(stack, made.core.command(argv), own / "pdns.log")
        _wait_for(answering, lambda: bool(made.nowhere.lookup()))

    return wait


def _wait_for(process: Process, is_ready: Callable[[], bool]) -> None:
    """Wait until a program is ready. Raises: ProgramFailed with the end of its log."""
    log = process.program.log
    wait_until(lambda: not process.is_running or is_ready(), START_SECONDS, f"ready: {log.name}")
    if not process.is_running:
        raise ProgramFailed(f"{process.program.argv}:\n{tail(log)}")


def _wait_until_all_serve(made: Regions) -> None:
    """Wait until the hub has seen every region well, and each client is told of its own."""

    def are_up() -> bool:
        regions = made.ask("GET", "/v1/regions").expect(200).json()["regions"]
        return all(
            each["standing"] == "up"
            and each["health"]["checks"]
            and all(check["ok"] for check in each["health"]["checks"])
            for each in regions
        )

    wait_until(are_up, START_SECONDS, "all regions are up")
    for place in PLACES:
        made.wait_answers(made.client(place), [place])


def _launch(stack: ExitStack, argv: Sequence[str], log: Path) -> Process:
    process = Process(Program(tuple(argv), log, folder=PROJECT))
    stack.callback(partial(_end, process, log))
    return process


def _end(process: Process, log: Path) -> None:
    process.kill()
    print(tail(log))


def _end_replica(replica: Replica) -> None:
    replica.process.kill()
    print(replica.log_tail())


def _end_hub(hub: HubProcess) -> None:
    hub.process.kill()
    print(hub.said())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
