"""The demo's clients: each pull is by a new client that logs in for itself, and is checked."""

import hashlib
import json
import shutil
from pathlib import Path

from loadtest.image import Image
from loadtest.login import Login
from loadtest.programs import ProgramFailed, Skopeo


class Client:
    """A new client, logged in at one registry."""

    def __init__(self, folder: Path, registry: str, repository: str, login: Login | None) -> None:
        self._skopeo = Skopeo(folder / "home")
        self._pulled = folder / "pulled"
        self._place = f"docker://{registry}/{repository}"
        if login is not None:
            self._skopeo.login(registry, login)

    def push(self, image: Image) -> None:
        """Push *image* under its tag.

        Raises: ProgramFailed
        """
        self._skopeo.copy(image.place, f"{self._place}:{image.tag}")

    def pull(self, image: Image) -> None:
        """Pull the tag of *image*; the client checks each blob.

        Raises: ProgramFailed
        """
        self._skopeo.copy(f"{self._place}:{image.tag}", f"dir:{self._pulled}")

    def delete(self, image: Image) -> None:
        """Delete what the tag of *image* names, with all tags that name it.

        Raises: ProgramFailed
        """
        self._skopeo.delete(f"{self._place}:{image.tag}")

    def finds(self, image: Image) -> bool:
        """Say whether the tag of *image* is there; it isn't if the registry says so.

        Raises: ProgramFailed: it says something else.
        """
        try:
            self.pull(image)
        except ProgramFailed as error:
            if "manifest unknown" not in str(error):
                raise
            return False
        return True

    def check(self, image: Image) -> None:
        """See that what was pulled is *image*, all of it, and remove it.

        Raises: ProgramFailed
        """
        manifest = (self._pulled / "manifest.json").read_bytes()
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        if digest != image.digest:
            raise ProgramFailed(f"pulled {digest} instead of {image.digest}")
        document = json.loads(manifest)
        for blob in (document["config"], *document["layers"]):
            path = self._pulled / blob["digest"].removeprefix("sha256:")
            if not path.is_file() or path.stat().st_size != blob["size"]:
                raise ProgramFailed(f"{blob['digest']} is missing or short at the client")
        shutil.rmtree(self._pulled)
