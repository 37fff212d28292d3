"""nginx as a file server: one worker, sendfile, plain or TLS; what a warm blob is compared with."""

import os
from pathlib import Path

from loadtest.address import free_address, show_address
from loadtest.programs.certificate import Certificate
from loadtest.programs.program import Program

_CONFIG = """\
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  sendfile_max_chunk 512k;
  tcp_nodelay on;
  keepalive_requests 1000000;
  default_type application/octet-stream;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {listen};
    {tls}
    root {root};
  }}
}}
"""
_TLS = "ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"


class Nginx(Program):
    """Serves the files of *root*."""

    def __init__(
        self, folder: Path, root: Path, certificate: Certificate | None = None, name: str = "nginx"
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._listen = free_address()
        listen = show_address(self._listen)
        tls = ""
        if certificate is not None:
            tls = _TLS.format(certificate=certificate.certificate, key=certificate.key)
        config = folder / "nginx.conf"
        # Started by root, its worker would be somebody else, who can't read a temporary folder.
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            _CONFIG.format(
                folder=folder,
                root=root,
                user=user,
                tls=tls,
                listen=listen + (" ssl" if certificate else ""),
            )
        )
        self.address = listen
        self.url = f"{'https' if certificate else 'http'}://{listen}"
        super().__init__(name, ["nginx", "-c", str(config), "-e", "stderr"], folder, self._ready)

    def _ready(self) -> None:
        self.wait_until_listening(self._listen)
