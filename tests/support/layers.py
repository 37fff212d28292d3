"""Bytes of layers: real tar archives, and incompressible content of any size, made fast."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

BLOCK_BYTES = 512
TAR_OVERHEAD_BYTES = 3 * BLOCK_BYTES  # one header, two blocks of zeros at the end


@dataclass(frozen=True, slots=True)
class Blob:
    """Content with its digest and the type its descriptor gives."""

    data: bytes
    digest: str
    media_type: str

    def __repr__(self) -> str:
        return f"Blob({self.digest}, {len(self.data)} bytes, {self.media_type})"

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer's bytes and the digest of its tar archive; the image gives it its type."""

    data: bytes
    digest: str
    diff_id: str
    is_compressed: bool


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Give the digest of *data* as the spec writes it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def blob(
    data: bytes, media_type: str = "application/octet-stream", algorithm: str = "sha256"
) -> Blob:
    """Give a blob of exactly *data*."""
    return Blob(data, digest_of(data, algorithm), media_type)


def random_bytes(size: int, seed: str = "") -> bytes:
    """Give *size* incompressible bytes, the same for the same seed."""
    return hashlib.shake_128(seed.encode()).digest(size)


def random_blob(size: int, seed: str = "") -> Blob:
    """Give a blob of *size* incompressible bytes."""
    return blob(random_bytes(size, seed))


def tar_layer(
    files: Mapping[str, bytes], *, compress: bool = True, algorithm: str = "sha256"
) -> Layer:
    """Give a layer with *files*, as a gzip or a plain tar archive."""
    archive = _tar(files)
    data = gzip.compress(archive, 6, mtime=0) if compress else archive
    return Layer(data, digest_of(data, algorithm), digest_of(archive), compress)


def random_layer(size: int, seed: str = "", algorithm: str = "sha256") -> Layer:
    """Give an uncompressed layer of *size* bytes (a multiple of 512) with one random file."""
    assert size % BLOCK_BYTES == 0, "tar archives are made of blocks"
    assert size > TAR_OVERHEAD_BYTES, "no tar archive is that short"
    content = random_bytes(size - TAR_OVERHEAD_BYTES, seed)
    header = _entry(f"random/{seed or 'file'}", len(content)).tobuf(tarfile.USTAR_FORMAT)
    archive = header + content + bytes(2 * BLOCK_BYTES)
    return Layer(archive, digest_of(archive, algorithm), digest_of(archive), False)


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            archive.addfile(_entry(path, len(content)), io.BytesIO(content))
    return buffer.getvalue()


def _entry(path: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(path)
    entry.size = size
    entry.mtime = 1_000_000_000
    return entry
