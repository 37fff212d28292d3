"""What operators put before a replica: Debian's nginx and haproxy, as plain as can be."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import LOOPBACK, claimed_port
from tests.support.processes import Program, serving

NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")

_NGINX_PROCESS = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
"""
_NGINX_HTTP = """\
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port}%s;
    location / {{
      proxy_pass http://{target};
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-For %s;
    }}
  }}
}}
"""
_NGINX_TCP = """\
stream {{
  server {{
    listen 127.0.0.1:{port};
    proxy_pass {target};
    proxy_protocol on;
  }}
}}
"""
_HAPROXY = """\
defaults
  mode %s
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend registry
  bind 127.0.0.1:{port}%s
  %s
  default_backend replica
backend replica
  server replica {target}%s
"""


@dataclass(frozen=True, slots=True)
class _Front:
    """A configuration, and the command that runs it."""

    config: str
    argv: Callable[[Path], tuple[str, ...]]


def _nginx(config: Path) -> tuple[str, ...]:
    return ("nginx", "-c", str(config), "-p", str(config.parent), "-e", "stderr")


def _haproxy(config: Path) -> tuple[str, ...]:
    return ("haproxy", "-db", "-f", str(config))


def _http_nginx(listening: str, client: str) -> _Front:
    return _Front(_NGINX_PROCESS + _NGINX_HTTP % (listening, client), _nginx)


def _any_haproxy(mode: str, *, tls: str = "", adding: str = "", sending: str = "") -> _Front:
    return _Front(_HAPROXY % (mode, tls, adding, sending), _haproxy)


_TERMINATED = " ssl crt {folder}/haproxy.pem"
_TELLING = "option forwardfor\n  http-request set-header X-Forwarded-Proto https"

_CHECKING = (
    "\n  option httpchk"
    "\n  http-check send meth GET uri /v2/ ver HTTP/1.1 hdr Host registry.example.com"
)

_FRONTS: Mapping[str, _Front] = {
    "nginx": _http_nginx("", "$proxy_add_x_forwarded_for"),
    "haproxy": _any_haproxy("http", adding="option forwardfor"),
    "nginx behind another": _http_nginx(" proxy_protocol", "$proxy_protocol_addr"),
    "nginx stream": _Front(
        f"load_module {NGINX_STREAM};\n{_NGINX_PROCESS}{_NGINX_TCP}",
        _nginx,
    ),
    "haproxy v1": _any_haproxy("tcp", sending=" send-proxy"),
    "haproxy v2": _any_haproxy("tcp", sending=" send-proxy-v2"),
    "haproxy v2 http": _any_haproxy("http", sending=" send-proxy-v2"),
    "haproxy tls": _any_haproxy("http", tls=_TERMINATED, adding=_TELLING),
    "haproxy tls v2": _any_haproxy("tcp", tls=_TERMINATED, sending=" send-proxy-v2-ssl"),
    "haproxy checks": _any_haproxy("tcp", sending=" send-proxy-v2 check inter 50ms" + _CHECKING),
}
FRONTS = ("nginx", "haproxy")
"""Those that speak HTTP to the replica."""


@contextmanager
def front(name: str, target: str, folder: Path) -> Iterator[str]:
    """Run a front end before *target* for the length of the block; give its host:port."""
    made = _FRONTS[name]
    with claimed_port() as port:
        config = folder / f"{name.replace(' ', '-')}.conf"
        config.write_text(made.config.format(folder=folder, port=port, target=target))
        with serving(Program(made.argv(config), config.with_suffix(".log")), port):
            yield f"{LOOPBACK}:{port}"
