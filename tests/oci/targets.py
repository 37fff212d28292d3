"""Request targets that many tests start from."""

from proxy.oci.digest import Digest

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PREFIXES = ("/artifactory/uploads/",)
DIGEST = str(Digest.of(b""))
BASE = "/v2/team/app"
UPLOAD = f"{BASE}/blobs/uploads/0b5e-11"
