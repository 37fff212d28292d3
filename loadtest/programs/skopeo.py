"""skopeo, the client: each one logs in for itself and leaves nothing behind outside its folder."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from loadtest.login import Login
from loadtest.programs.program import ProgramFailed, environment, tied

_LOGIN_SECONDS = 20.0
_COPY_SECONDS = 120.0
_DELETE_SECONDS = 20.0


class Skopeo:
    """One client with a home of its own: its logins and its cache of blob places."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._logins = home / "auth.json"

    def login(self, registry: str, login: Login) -> None:
        """Log in at *registry* (host:port).

        Raises: ProgramFailed
        """
        options = ["--tls-verify=false", "--authfile", str(self._logins)]
        options += ["--username", login.username, "--password-stdin"]
        self._run(["login", *options, registry], _LOGIN_SECONDS, given=login.password)

    def copy(self, source: str, destination: str) -> None:
        """Copy an image between places such as `docker://HOST:PORT/NAME:TAG` and `dir:PATH`.

        Digests are kept: layers go as they are.
        Raises: ProgramFailed
        """
        options = ["--preserve-digests", "--src-tls-verify=false", "--dest-tls-verify=false"]
        options += self._known_logins()
        self._run(["copy", "--quiet", *options, source, destination], _COPY_SECONDS)

    def delete(self, place: str) -> None:
        """Delete the manifest that *place* names, such as `docker://HOST:PORT/NAME:TAG`.

        Raises: ProgramFailed
        """
        options = ["--tls-verify=false", *self._known_logins()]
        self._run(["delete", *options, place], _DELETE_SECONDS)

    def _known_logins(self) -> list[str]:
        return ["--authfile", str(self._logins)] if self._logins.exists() else []

    def _run(self, arguments: Sequence[str], limit_seconds: float, given: str = "") -> None:
        command = tied(["skopeo", "--insecure-policy", "--tmpdir", str(self._home), *arguments])
        try:
            done = subprocess.run(
                command,
                input=given.encode(),
                capture_output=True,
                env=self._environment(),
                timeout=limit_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ProgramFailed(
                f"skopeo {arguments[0]}: no end in {limit_seconds:.0f} s"
            ) from error
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            raise ProgramFailed(f"skopeo {arguments[0]} ended with {done.returncode}: {said}")

    def _environment(self) -> dict[str, str]:
        # As "rootless", so that its cache of blob places is below XDG_DATA_HOME for root too.
        return environment() | {
            "HOME": str(self._home),
            "XDG_DATA_HOME": str(self._home),
            "XDG_RUNTIME_DIR": str(self._home),
            "_CONTAINERS_ROOTLESS_UID": "1",
        }
