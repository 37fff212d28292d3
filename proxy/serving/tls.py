"""TLS towards clients: the certificate is read again when its files change."""

import asyncio
import ssl
from pathlib import Path

from proxy.telemetry.logs import EventLog


class Certificates:
    """A server context that follows its files: new connections get what was read last.

    Each pair is read into a context of its own, and taken into use once it fits. Reading into
    the context that handshakes use could leave it with a certificate and another one's key.
    """

    def __init__(self, certificate: Path, key: Path, reread_seconds: float, log: EventLog) -> None:
        self._certificate = certificate
        self._key = key
        self._reread_seconds = reread_seconds
        self._log = log
        self._seen = self._stamp()
        self._latest = self.context = self._read()
        self.context.sni_callback = self._use_latest

    def _use_latest(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> None:
        """Called in every handshake, whether or not the client names a server."""
        connection.context = self._latest

    def _read(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._certificate, self._key)
        return context

    def _stamp(self) -> tuple[tuple[int, int, int], ...]:
        found = (path.stat() for path in (self._certificate, self._key))
        return tuple((each.st_ino, each.st_size, each.st_mtime_ns) for each in found)

    async def follow(self) -> None:
        """Look at the files now and then, for as long as this runs."""
        while True:
            await asyncio.sleep(self._reread_seconds)
            await asyncio.to_thread(self.reread)

    def reread(self) -> None:
        """Read the files if they changed; a pair that doesn't fit leaves the old one in use."""
        try:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._latest = self._read()
        except (OSError, ssl.SSLError) as exc:
            self._log.error("tls.not_reread", error=str(exc))
            return
        self._seen = stamp
        self._log.info("tls.reread", certificate=str(self._certificate))
