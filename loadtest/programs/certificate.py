"""A certificate for loopback that signs itself, made with openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from loadtest.programs.program import tied
from loadtest.programs.settings import Section


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate; clients trust the certificate itself."""

    certificate: Path
    key: Path

    @property
    def settings(self) -> Section:
        """The section `tls` of a program that serves with it."""
        return {"certificate": str(self.certificate), "key": str(self.key)}

    @classmethod
    def make(cls, folder: Path) -> Self:
        """Write a certificate for 127.0.0.1 and localhost, good for a day."""
        folder.mkdir(parents=True, exist_ok=True)
        made = cls(folder / "certificate.pem", folder / "key.pem")
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-days", "1", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost",
            "-keyout", str(made.key), "-out", str(made.certificate),
        ]  # fmt: skip
        subprocess.run(tied(command), check=True, capture_output=True, timeout=30)
        return made
