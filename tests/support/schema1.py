"""Docker's schema 1: a document with signatures in its tail, whose digest covers only the rest."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from tests.support.images import SCHEMA1_SIGNED, Manifest
from tests.support.layers import Blob, blob, digest_of, tar_layer
from tests.support.token_signer import libtrust_name

SIGNED_AT = "2001-09-09T01:46:40Z"
_KEY = ec.derive_private_key(0x5EED, ec.SECP256R1())  # the same signatures on each run


def schema1_image(repository: str, tag: str, seed: str = "schema1") -> Manifest:
    """Give a signed schema 1 image of *repository* and *tag*; its digest is that of the payload."""
    layers = _layers(seed)
    payload = json.dumps(_document(repository, tag, layers), indent=3).encode()
    return Manifest(_signed(payload), digest_of(payload), SCHEMA1_SIGNED, tuple(layers))


def _layers(seed: str) -> list[Blob]:
    names = (f"{seed}/upper", f"{seed}/lower")
    return [blob(tar_layer({name: name.encode()}).data) for name in names]


def _document(repository: str, tag: str, layers: list[Blob]) -> dict[str, Any]:
    return {
        "schemaVersion": 1,
        "name": repository,
        "tag": tag,
        "architecture": "amd64",
        "fsLayers": [{"blobSum": layer.digest} for layer in layers],
        "history": [{"v1Compatibility": _history(i, len(layers))} for i in range(len(layers))],
    }


def _history(index: int, count: int) -> str:
    entry = {"id": f"{index:064x}", "os": "linux", "architecture": "amd64", "created": SIGNED_AT}
    if index + 1 < count:
        entry["parent"] = f"{index + 1:064x}"
    return json.dumps(entry)


def _signed(payload: bytes) -> bytes:
    """Give *payload* with a JSON web signature in "pretty" form between its end and its bracket."""
    body, tail = payload[:-2], payload[-2:]
    protected = {"formatLength": len(body), "formatTail": _url64(tail), "time": SIGNED_AT}
    encoded = _url64(json.dumps(protected).encode())
    signature = {
        "header": {"jwk": _public_jwk(), "alg": "ES256"},
        "signature": _url64(_sign(f"{encoded}.{_url64(payload)}".encode())),
        "protected": encoded,
    }
    signatures = json.dumps([signature], indent=3).replace("\n", "\n   ")
    return body + f',\n   "signatures": {signatures}'.encode() + tail


def _sign(data: bytes) -> bytes:
    algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
    r, s = decode_dss_signature(_KEY.sign(data, algorithm))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _public_jwk() -> dict[str, str]:
    numbers = _KEY.public_key().public_numbers()
    x, y = (_url64(value.to_bytes(32, "big")) for value in (numbers.x, numbers.y))
    return {"crv": "P-256", "kid": libtrust_name(_KEY), "kty": "EC", "x": x, "y": y}


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
