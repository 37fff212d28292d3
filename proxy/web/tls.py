"""TLS towards clients: one context, its certificate read again when the files change."""

import asyncio
import ssl
from pathlib import Path

from proxy.telemetry.logs import EventLog


class Certificates:
    """A server context that follows its files. New connections get what was read last."""

    def __init__(self, certificate: Path, key: Path, reread_seconds: float, log: EventLog) -> None:
        self._certificate = certificate
        self._key = key
        self._reread_seconds = reread_seconds
        self._log = log
        self._seen = self._stamp()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(["http/1.1"])
        self.context.load_cert_chain(certificate, key)

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
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                self._certificate, self._key
            )
            self.context.load_cert_chain(self._certificate, self._key)
        except (OSError, ssl.SSLError) as exc:
            self._log.error("tls.not_reread", error=str(exc))
            return
        self._seen = stamp
        self._log.info("tls.reread", certificate=str(self._certificate))
