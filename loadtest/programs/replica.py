"""The replica under test."""

from pathlib import Path

from loadtest.programs.certificate import Certificate
from loadtest.programs.program import Program, python_module
from loadtest.programs.settings import Section, Sections, as_toml, laid_over

_LISTEN: dict[str, object] = {"ops": "127.0.0.1:0", "drain_limit": "3s"}


class Replica(Program):
    """`proxima replica` with a store in *folder*; settings are design 9's, by section and key."""

    def __init__(
        self,
        folder: Path,
        *,
        primary: str,
        connect_to: str = "",
        certificate: Certificate | None = None,
        settings: Sections | None = None,
        name: str = "replica",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store"
        self.address = self.ops = self.url = ""
        self._scheme = "https" if certificate else "http"
        own: dict[str, Section] = {"listen": _LISTEN}
        if connect_to:
            own["primary"] = {"connect_to": [connect_to]}
        if certificate:
            own["tls"] = certificate.settings
        config = folder / "replica.toml"
        config.write_text(as_toml(laid_over(own, settings or {})))
        command = python_module(
            "proxy", "replica", "--primary", primary, "--listen", "127.0.0.1:0",
            "--store", str(self.store), "--config", str(config),
        )  # fmt: skip
        super().__init__(name, command, folder, self._ready)

    def _ready(self) -> None:
        said = self.wait_for_event("replica.ready")
        self.address, self.ops = said["registry"][0], said["ops"]
        self.url = f"{self._scheme}://{self.address}"
