"""What operators put before a replica: Debian's nginx and haproxy, as plain as can be."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Program, serving

_NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://{target};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
_HAPROXY = """\
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend registry
  bind 127.0.0.1:{port}
  option forwardfor
  default_backend replica
backend replica
  server replica {target}
"""


def _nginx(config: Path) -> tuple[str, ...]:
    return ("nginx", "-c", str(config), "-p", str(config.parent), "-e", "stderr")


def _haproxy(config: Path) -> tuple[str, ...]:
    return ("haproxy", "-db", "-f", str(config))


_FRONTS: Mapping[str, tuple[str, Callable[[Path], tuple[str, ...]]]] = {
    "nginx": (_NGINX, _nginx),
    "haproxy": (_HAPROXY, _haproxy),
}
FRONTS = tuple(_FRONTS)


@contextmanager
def front(name: str, target: str, folder: Path) -> Iterator[str]:
    """Run a front end before *target* for the length of the block; give its host:port."""
    template, argv = _FRONTS[name]
    with claimed_port() as port:
        config = folder / f"{name}.conf"
        config.write_text(template.format(folder=folder, port=port, target=target))
        with serving(Program(argv(config), folder / f"{name}.log"), port):
            yield f"{LOOPBACK}:{port}"
