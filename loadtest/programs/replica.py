"""The replica under test."""

from dataclasses import dataclass
from pathlib import Path

from loadtest.programs.certificate import Certificate
from loadtest.programs.program import Program, python_module
from loadtest.programs.settings import Section, Sections, as_toml, laid_over

_LISTEN: dict[str, object] = {
    "registry": ["127.0.0.1:0"],
    "ops": "127.0.0.1:0",
    "drain_limit": "3s",
}


@dataclass(frozen=True, slots=True)
class Join:
    """The hub that says what a replica needs to know, and the file with its join token."""

    hub_url: str
    token_file: Path

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that join it."""
        return ("--join", self.hub_url, "--token-file", str(self.token_file))


class Replica(Program):
    """`proxima replica` with a store in *folder*; settings are design 9's, by section and key.

    *primary* is its URL, or the hub that says it and more; settings go before what a hub says.
    """

    def __init__(
        self,
        folder: Path,
        *,
        primary: str | Join,
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
        knows = primary.flags if isinstance(primary, Join) else ("--primary", primary)
        command = python_module(
            "proxy", "replica", *knows, "--store", str(self.store), "--config", str(config),
        )  # fmt: skip
        super().__init__(name, command, folder, self._ready)

    def _ready(self) -> None:
        said = self.wait_for_event("replica.ready")
        self.address, self.ops = said["registry"][0], said["ops"]
        self.url = f"{self._scheme}://{self.address}"
