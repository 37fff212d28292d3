"""skopeo as a client: copies between registries and OCI layouts, with a login file of its own."""

import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.accounts import Credentials
from tests.support.namespaces import Host
from tests.support.processes import Completed, run

PROGRAM = "skopeo"


@dataclass(frozen=True, slots=True)
class Skopeo:
    """A user of skopeo: *folder* has the login file, and the trusted authority if there is one.

    host: where it runs, if not here.
    """

    folder: Path
    ca_file: Path | None = None
    host: Host | None = None

    def trusting(self, ca_file: Path) -> "Skopeo":
        """Give the same user over TLS with this authority."""
        certificates = self.folder / "certificates"
        certificates.mkdir(exist_ok=True)
        (certificates / "ca.crt").write_bytes(ca_file.read_bytes())
        return replace(self, ca_file=certificates / "ca.crt")

    def login(self, address: str, credentials: Credentials) -> Completed:
        """Log in at a registry (host:port); later commands use it."""
        argv = ["login", "--username", credentials.username, "--password-stdin"]
        argv += ["--authfile", str(self._login_file), *self._tls("")]
        return self._run(*argv, address, data=credentials.password.encode())

    def remember(self, address: str, credentials: Credentials) -> None:
        """Log in at a registry without asking it."""
        pair = f"{credentials.username}:{credentials.password}".encode()
        login = {"auth": base64.b64encode(pair).decode()}
        self._login_file.write_text(json.dumps({"auths": {address: login}}))

    def logout(self) -> None:
        """Forget every login."""
        self._login_file.write_text("{}")

    def copy(
        self, source: str, target: str, *options: str, all_platforms: bool = True
    ) -> Completed:
        """Copy an image, its digest unchanged, from and to ``docker://...`` or ``oci:...``."""
        argv = ["copy", "--preserve-digests", *(["--all"] if all_platforms else [])]
        argv += ["--dest-oci-accept-uncompressed-layers", *options]
        argv += [*self._logins(), *self._tls("src-"), *self._tls("dest-")]
        return self._run(*argv, source, target)

    def inspect(self, reference: str, *options: str) -> Completed:
        """Show what a registry says about an image."""
        return self._run("inspect", *self._logins(), *self._tls(""), *options, reference)

    def raw_manifest(self, reference: str) -> bytes:
        """Give the bytes of a manifest or index."""
        return self.inspect(reference, "--raw").check().output

    def delete(self, reference: str) -> Completed:
        """Delete the manifest that a tag or digest names."""
        return self._run("delete", *self._logins(), *self._tls(""), reference)

    def tags(self, repository: str) -> Completed:
        """List the tags of ``docker://host:port/name``."""
        return self._run("list-tags", *self._logins(), *self._tls(""), repository)

    @property
    def _login_file(self) -> Path:
        return self.folder / "logins.json"

    def _logins(self) -> list[str]:
        return ["--authfile", str(self._login_file)]

    def _tls(self, side: str) -> list[str]:
        if self.ca_file is None:
            return [f"--{side}tls-verify=false"]
        return [f"--{side}cert-dir={self.ca_file.parent}"]

    def _run(self, *arguments: str, data: bytes = b"") -> Completed:
        home = str(self.folder)
        environment = {"HOME": home, "XDG_RUNTIME_DIR": home, "TMPDIR": home}
        argv = [PROGRAM, "--insecure-policy", *arguments]
        command = self.host.command(argv) if self.host else argv
        return run(command, environment=environment, data=data)


def docker(address: str, name: str) -> str:
    """Give skopeo's way to write *name* (``team/app:tag``) at a registry (host:port)."""
    return f"docker://{address}/{name}"


def layout(folder: Path, tag: str = "latest") -> str:
    """Give skopeo's way to write an OCI layout."""
    return f"oci:{folder}:{tag}"


def folder_copy(folder: Path) -> str:
    """Give skopeo's way to write a plain folder: ``manifest.json`` and files named by digest."""
    return f"dir:{folder}"


def skopeo(folder: Path, host: Host | None = None) -> Skopeo:
    """Give a user without logins over plain HTTP, with its files in *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    user = Skopeo(folder, host=host)
    user.logout()
    return user
