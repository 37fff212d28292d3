"""Debian's ``pdns_server`` with the remote backend over HTTP, and ``dig`` to ask it."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Program, run, serving

PROGRAM = "pdns_server"
Respond = Callable[[bytes], dict[str, Any]]


@dataclass(slots=True)
class Backend:
    """What answers PowerDNS, and the calls that came."""

    respond: Respond
    url: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PowerDns:
    """A running server."""

    port: int
    backend: Backend

    def dig(self, name: str, kind: str, *options: str, source: str = LOOPBACK) -> list[str]:
        """Give the answer's contents, sorted, asked from a source address."""
        return sorted(self.answer(name, kind, "+short", *options, source=source).splitlines())

    def status(self, name: str, kind: str) -> str:
        """Give the code of the answer's header."""
        return self.answer(name, kind).partition("status: ")[2].partition(",")[0]

    def answer(self, name: str, kind: str, *options: str, source: str = LOOPBACK) -> str:
        """Give what ``dig`` prints."""
        where = (f"@{LOOPBACK}", "-p", str(self.port), "-b", source)
        return run(("dig", *where, "+tries=1", "+time=5", name, kind, *options)).check().text


@contextmanager
def powerdns(folder: Path, respond: Respond, **settings: str) -> Iterator[PowerDns]:
    """Run a server whose backend is *respond*; *settings* with underscores for hyphens."""
    with _answering(Backend(respond)) as backend, claimed_port() as port:
        _configure(folder, backend, port, settings)
        argv = (PROGRAM, f"--config-dir={folder}")
        with serving(Program(argv, folder / "pdns.log"), port):
            yield PowerDns(port, backend)


def _configure(folder: Path, backend: Backend, port: int, settings: dict[str, str]) -> None:
    lines = {
        "launch": "remote",
        "remote-connection-string": f"http:url={backend.url},post=1,post_json=1",
        "local-address": LOOPBACK,
        "local-port": str(port),
        "socket-dir": str(folder),
        "edns-subnet-processing": "yes",
        "daemon": "no",
        "guardian": "no",
        "disable-syslog": "yes",
    }
    lines |= {name.replace("_", "-"): value for name, value in settings.items()}
    (folder / "pdns.conf").write_text("".join(f"{name}={lines[name]}\n" for name in lines))


@contextmanager
def _answering(backend: Backend) -> Iterator[Backend]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            backend.calls.append(json.loads(body))
            answer = json.dumps(backend.respond(body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing: the calls are kept."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        server.daemon_threads = True
        backend.url = f"http://{LOOPBACK}:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
