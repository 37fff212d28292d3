"""Signing of registry tokens: JWTs that Distribution 2.8 verifies with a certificate bundle."""

import base64
import datetime
import hashlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Scope:
    """What a client asks for: actions on a repository (or another resource type)."""

    type: str
    name: str
    actions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Scope":
        kind, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        return cls(kind, name, tuple(action for action in actions.split(",") if action))

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"

    def to_json(self) -> dict[str, Any]:
        return {"type": self.type, "name": self.name, "actions": list(self.actions)}


class Signer:
    """A key with its self-signed certificate.

    algorithm: ``ES256`` or ``RS256``. chain: put the certificate into the header (``x5c``) instead
    of the key's name (``kid``).
    """

    def __init__(self, folder: Path, *, algorithm: str = "ES256", chain: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.algorithm = algorithm
        self.key = _new_key(algorithm)
        self.certificate = _self_signed(self.key)
        self.bundle = folder / f"tokens-{uuid.uuid4().hex[:8]}.pem"
        self.bundle.write_bytes(self.certificate.public_bytes(Encoding.PEM))
        self.header = self._chain_header() if chain else {"kid": libtrust_name(self.key)}

    def sign(self, claims: dict[str, Any]) -> str:
        """Give *claims* as a JWT."""
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers=self.header)

    def claims(self, token: str, issuer: str, service: str) -> dict[str, Any]:
        """Give what a token says. Raises: jwt.InvalidTokenError."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self.key.public_key(),
            algorithms=[self.algorithm],
            issuer=issuer,
            audience=service,
        )
        return claims

    def _chain_header(self) -> dict[str, Any]:
        der = self.certificate.public_bytes(Encoding.DER)
        return {"x5c": [base64.b64encode(der).decode()]}


def registry_claims(
    issuer: str, service: str, subject: str, scopes: Sequence[Scope], lifetime_seconds: int
) -> dict[str, Any]:
    """Give the claims of Distribution's token specification, valid from now on."""
    now = int(time.time())
    return {
        "iss": issuer,
        "sub": subject,
        "aud": service,
        "exp": now + lifetime_seconds,
        "nbf": min(now, now + lifetime_seconds) - 10,
        "iat": min(now, now + lifetime_seconds),
        "jti": uuid.uuid4().hex,
        "access": [scope.to_json() for scope in scopes],
    }


def libtrust_name(key: PrivateKey) -> str:
    """Give the key's name in libtrust's form: 240 bits of SHA-256 of its public DER in base32."""
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def _new_key(algorithm: str) -> PrivateKey:
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def _self_signed(key: PrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "token server of the tests")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return builder.sign(key, hashes.SHA256())
