"""A certificate authority of the tests' own, and server certificates from it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where a server's certificate chain and key lie."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority with its files in *folder*."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.crt"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(str(self.ca_file))

    def issue(self, *names: str) -> ServerFiles:
        """Give files of a new certificate for *names* (host names or addresses)."""
        issued = self._authority.issue_cert(*names)
        stem = f"{names[0].replace('*', 'any')}-{len(list(self.folder.iterdir()))}"
        files = ServerFiles(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        for certificate in issued.cert_chain_pems:
            certificate.write_to_path(str(files.certificate), append=True)
        issued.private_key_pem.write_to_path(str(files.key))
        return files

    def server_context(self, *names: str) -> ssl.SSLContext:
        """Give a context for a server that answers as *names*, HTTP/1.1 only."""
        files = self.issue(*names)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def client_context(self) -> ssl.SSLContext:
        """Give a context that trusts this authority alone."""
        return ssl.create_default_context(cafile=self.ca_file)
