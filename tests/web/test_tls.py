"""TLS towards clients: what is offered, and certificates that change under way."""

import gc
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from tests.support.certificates import Authority, ServerFiles
from tests.support.raw_http import Ending, RawConnection, raw_connection, request_bytes
from tests.support.waiting import wait_until
from tests.web.corpus import HOST
from tests.web.serving import LOOPS, Serving, serving

NAME = "registry.example.com"
PING = request_bytes("GET", "/v2/", NAME)


@dataclass(slots=True)
class Secured:
    """A replica whose certificate files the test replaces."""

    served: Serving
    authority: Authority
    files: ServerFiles

    def context(self) -> ssl.SSLContext:
        return self.authority.client_context()

    def install(self, new: ServerFiles) -> None:
        """Put another pair into place, the certificate first, as many tools do."""
        _replace(new.certificate, self.files.certificate)
        _replace(new.key, self.files.key)

    def serial(self) -> int:
        """Give the serial number of the certificate that a new connection is shown."""
        with raw_connection(self.served.address, tls=self.context(), server_name=NAME) as fresh:
            return _serial(fresh)


def _serial(connection: RawConnection) -> int:
    assert isinstance(connection.socket, ssl.SSLSocket)
    der = connection.socket.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der).serial_number


def _replace(source: Path, target: Path) -> None:
    fresh = target.with_suffix(".new")
    shutil.copy(source, fresh)
    fresh.replace(target)


@pytest.fixture(params=LOOPS)
def secured(request, upstream, authority, tmp_path) -> Iterator[Secured]:
    issued = authority.issue(NAME)
    files = ServerFiles(tmp_path / "tls.crt", tmp_path / "tls.key")
    shutil.copy(issued.certificate, files.certificate)
    shutil.copy(issued.key, files.key)
    tls = {"certificate": files.certificate, "key": files.key, "reread": "100ms"}
    with serving(upstream, loop=request.param, tls=tls, listen={"names": [NAME]}) as served:
        yield Secured(served, authority, files)


def _answers(connection: RawConnection) -> bool:
    connection.send(PING)
    return connection.read_reply().status == 200


def test_a_new_certificate_is_taken_up_without_dropping_connections(secured: Secured):
    """New connections get what lies in the files; those that are open go on with the old one."""
    before = secured.serial()
    with raw_connection(
        secured.served.address, tls=secured.context(), server_name=NAME
    ) as connection:
        assert _answers(connection)
        secured.install(secured.authority.issue(NAME))
        secured.served.wait_event("tls.reread")
        assert _answers(connection)
        assert _serial(connection) == before
    assert secured.serial() != before


def test_a_client_that_names_no_server_gets_the_new_certificate_too(secured: Secured):
    """Clients that come by an address send no name; they aren't left with an old certificate."""
    context = secured.context()
    context.check_hostname = False
    with raw_connection(secured.served.address, tls=context, server_name="127.0.0.1") as first:
        before = _serial(first)
    secured.install(secured.authority.issue(NAME))
    secured.served.wait_event("tls.reread")
    with raw_connection(secured.served.address, tls=context, server_name="127.0.0.1") as second:
        assert _serial(second) != before


@pytest.mark.parametrize("damage", ["no pair", "no key", "garbage", "empty", "gone"])
def test_a_pair_that_does_not_fit_leaves_the_old_one_in_use(secured: Secured, damage: str):
    """A mistake in the files is logged and changes nothing; the next good pair is taken up."""
    before = secured.serial()
    other = secured.authority.issue(NAME)
    match damage:
        case "no pair":
            _replace(other.certificate, secured.files.certificate)
        case "no key":
            _replace(other.certificate, secured.files.key)
        case "garbage":
            secured.files.certificate.write_text("-----BEGIN CERTIFICATE-----\nx\n")
        case "empty":
            secured.files.key.write_text("")
        case _:
            secured.files.certificate.unlink()
    secured.served.wait_event("tls.not_reread")
    for _ in range(3):
        assert secured.serial() == before
    secured.install(other)
    secured.served.wait_event("tls.reread")
    wait_until(lambda: secured.serial() != before, what="the good pair is in use")


def test_only_http_1_1_is_agreed_on(secured: Secured):
    """Settled 32: ALPN offers HTTP/1.1 alone, so no client starts HTTP/2."""
    for offered, agreed in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1")):
        context = secured.context()
        context.set_alpn_protocols(offered)
        with raw_connection(secured.served.address, tls=context, server_name=NAME) as connection:
            assert isinstance(connection.socket, ssl.SSLSocket)
            assert connection.socket.selected_alpn_protocol() == agreed
            assert _answers(connection)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_are_spoken(secured: Secured, version: ssl.TLSVersion):
    """Both versions that aren't deprecated work, also after the certificate was replaced."""
    secured.install(secured.authority.issue(NAME))
    secured.served.wait_event("tls.reread")
    context = secured.context()
    context.minimum_version = context.maximum_version = version
    with raw_connection(secured.served.address, tls=context, server_name=NAME) as connection:
        assert _answers(connection)
        assert isinstance(connection.socket, ssl.SSLSocket)
        assert connection.socket.version() == version.name.replace("_", ".")


def _connects(secured: Secured, version: str) -> bool:
    """Say whether a client that would take any cipher gets a connection in this version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    try:
        with raw_connection(secured.served.address, tls=context, server_name=NAME):
            return True
    except (ssl.SSLError, ConnectionError):
        return False


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
def test_older_versions_are_refused(secured: Secured, version: str):
    """TLS 1.0 and 1.1 are not spoken, before and after the certificate was replaced."""
    assert (_connects(secured, version), _connects(secured, "TLSv1_2")) == (False, True)
    secured.install(secured.authority.issue(NAME))
    secured.served.wait_event("tls.reread")
    assert (_connects(secured, version), _connects(secured, "TLSv1_2")) == (False, True)


def test_plain_http_on_the_tls_port_is_not_answered(secured: Secured):
    """Whoever forgets the s gets no answer that could be taken for one, and is let go."""
    with raw_connection(secured.served.address) as connection:
        connection.send(request_bytes("GET", "/v2/", HOST))
        assert connection.read_reply().status == 0


def test_a_malformed_request_over_tls_ends_its_connection(secured: Secured):
    """C10: 400 and the end, and nothing breaks behind it: another connection and a drain go on."""
    tasks: list[object] = []
    secured.served.thread.loop.set_exception_handler(lambda _, context: tasks.append(context))
    with raw_connection(
        secured.served.address, tls=secured.context(), server_name=NAME
    ) as connection:
        connection.send(b"NO HTTP\r\n\r\n")
        assert connection.read_reply().status == 400
        assert connection.wait_for_end() is not Ending.KEPT_OPEN
    gc.collect()
    with raw_connection(secured.served.address, tls=secured.context(), server_name=NAME) as other:
        assert _answers(other)
    secured.served.stop()
    assert tasks == []


@pytest.mark.parametrize("damage", ["no pair", "gone"])
def test_a_bad_pair_at_the_start_is_an_error(upstream, authority, tmp_path, damage: str):
    """A replica doesn't start without a pair that fits."""
    files, other = authority.issue(NAME), authority.issue(NAME)
    key = other.key if damage == "no pair" else tmp_path / "nothing"
    with (
        pytest.raises((OSError, ssl.SSLError)),
        serving(upstream, tls={"certificate": files.certificate, "key": key}),
    ):
        pass
