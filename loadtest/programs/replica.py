"""The replica under test."""

import json
from pathlib import Path

from loadtest.programs.certificate import Certificate
from loadtest.programs.program import Program, ProgramFailed, python_module

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
        settings: dict[str, dict[str, object]] | None = None,
        name: str = "replica",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.store = folder / "store"
        self.address = self.ops = self.url = ""
        self._scheme = "https" if certificate else "http"
        sections = {key: dict(values) for key, values in (settings or {}).items()}
        sections["listen"] = _LISTEN | sections.get("listen", {})
        if connect_to:
            sections.setdefault("primary", {})["connect_to"] = [connect_to]
        if certificate:
            files = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
            sections.setdefault("tls", {}).update(files)
        config = folder / "replica.toml"
        config.write_text(as_toml(sections))
        command = python_module(
            "proxy", "replica", "--primary", primary, "--listen", "127.0.0.1:0",
            "--store", str(self.store), "--config", str(config),
        )  # fmt: skip
        super().__init__(name, command, folder, self._ready)

    @property
    def rss_bytes(self) -> int:
        """Its resident memory now."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise ProgramFailed(f"{self.name} has no resident memory")

    def _ready(self) -> None:
        said = self.wait_for_event("replica.ready")
        self.address, self.ops = said["registry"][0], said["ops"]
        self.url = f"{self._scheme}://{self.address}"


def as_toml(sections: dict[str, dict[str, object]]) -> str:
    """Give *sections* as TOML; values are texts, numbers, booleans and lists of these."""
    lines: list[str] = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        # A JSON value of these kinds is a TOML value.
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(lines) + "\n"
