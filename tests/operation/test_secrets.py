"""What is secret stays out of logs, metrics and errors, whatever goes wrong around it."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.accounts import Accounts, Credentials, Grant
from tests.support.hostile import (
    BLOBS,
    UPLOADS,
    BasicLogin,
    Challenge,
    Cut,
    HostileUpstream,
    Raw,
    Redirect,
    Status,
    TokenLogin,
    hostile_upstream,
)
from tests.support.hostile import Settings as UpstreamSettings
from tests.support.layers import random_blob
from tests.support.raw_http import Ending, raw_connection, request_bytes
from tests.support.token_calls import basic_value
from tests.support.token_server import TokenServer
from tests.web.serving import Serving, serving

HOST = "127.0.0.1"
USER = Credentials("canary-user", "canary-password")
REPOSITORY = "secret/app"
DIGEST = f"sha256:{64 * 'a'}"
CANARY = "canary"


@dataclass(slots=True)
class Watched:
    """A replica of which everything is kept that it said to anyone."""

    served: Serving
    upstream: HostileUpstream
    said: list[str] = field(default_factory=list)

    def ask(
        self, method: str, target: str, *fields: tuple[str, str], body: bytes = b""
    ) -> tuple[int, str]:
        """Send one request; give status and what was said, which is kept if it is an error."""
        length = (("Content-Length", str(len(body))),) if body or method != "GET" else ()
        request = request_bytes(method, target, HOST, *fields, *length, body=body)
        with raw_connection(self.served.address) as connection:
            connection.send(request)
            reply = connection.read_reply(method)
            if reply.status >= 400:
                assert connection.wait_for_end(0.01) in Ending
        text = f"{reply.fields}{reply.body!r}"
        if reply.status >= 400:
            self.said.append(text)
        return reply.status, text

    def everything(self) -> str:
        """Give the log, the metrics and all errors so far."""
        samples = "".join(map(str, self.served.metrics().samples))
        return self.served.log_text() + samples + "".join(self.said)


@pytest.fixture
def secret_accounts() -> Accounts:
    accounts = Accounts()
    accounts.add(USER.username, USER.password, Grant("secret/*"))
    return accounts


@pytest.fixture
def basic(secret_accounts: Accounts) -> Iterator[Watched]:
    settings = UpstreamSettings(login=BasicLogin(secret_accounts))
    with hostile_upstream(settings=settings) as upstream, serving(upstream) as served:
        yield Watched(served, upstream)


LOGIN = ("Authorization", basic_value(USER))
WRONG = ("Authorization", basic_value(Credentials(USER.username, "canary-wrong")))
ODD_CREDENTIALS = (
    WRONG,
    ("Authorization", "Basic canary"),
    ("Authorization", "Basic Y2FuYXJ5"),
    ("Authorization", "Bearer canary.canary.canary"),
    ("Authorization", "Digest username=canary"),
    ("Authorization", "canary"),
    ("Authorization", "Basic canary\xff"),
    ("Proxy-Authorization", "Basic canary"),
    ("Cookie", "session=canary"),
    ("X-Registry-Auth", "canary"),
)


@pytest.mark.parametrize("header", ODD_CREDENTIALS, ids=str)
def test_credentials_that_are_refused_are_not_repeated(basic: Watched, header: tuple[str, str]):
    """C30, T20: wrong, broken and misplaced credentials show up nowhere."""
    for method, target in (
        ("GET", "/v2/"),
        ("GET", f"/v2/{REPOSITORY}/manifests/v1"),
        ("PUT", f"/v2/{REPOSITORY}/manifests/v1"),
        ("POST", f"/v2/{REPOSITORY}/blobs/uploads/"),
        ("GET", "/v2/token?service=canary&scope=repository:secret/app:pull&account=canary"),
    ):
        status, _ = basic.ask(method, target, header)
        assert status in (400, 401, 403, 404)
    assert CANARY not in basic.everything()


def test_queries_are_not_logged(basic: Watched):
    """C30: what stands in a query (state, signatures, names) isn't logged or repeated."""
    for target in (
        f"/v2/{REPOSITORY}/tags/list?n=canary",
        f"/v2/{REPOSITORY}/manifests/v1?token=canary",
        f"/v2/{REPOSITORY}/manifests/v1?ns=canary",
        f"/v2/{REPOSITORY}/blobs/{DIGEST}?sig=canary",
        f"/v2/{REPOSITORY}/referrers/{DIGEST}?artifactType=canary",
        "/v2/?canary",
        "/?canary",
        "/canary-path-is-no-secret-but-no-label-either",
    ):
        assert basic.ask("GET", target, LOGIN)[0]
    upload = f"/v2/{REPOSITORY}/blobs/uploads/some-session?_state=canary"
    for method in ("PATCH", "PUT", "GET", "DELETE"):
        basic.ask(method, upload, LOGIN, body=b"")
    assert CANARY not in basic.everything()


@pytest.mark.parametrize(
    "kind",
    [
        Raw(b"this is no HTTP\r\n\r\n"),
        Raw(b"HTTP/1.1 200 canary\r\nContent-Length: x\r\n\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
        Cut(-1),
        Cut(-1, reset=True),
        Status(500),
        Status(502),
        Status(418),
        Challenge('Bearer realm="http://evil.test/canary?x=canary",service="x"'),
        Redirect("http://evil.test/canary?sig=canary"),
        Redirect("/canary?sig=canary"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_faults_of_the_primary_reveal_nothing(basic: Watched, kind: object, method: str):
    """C30: a request with secrets meets a broken primary: nothing of either gets out."""
    target, path = {
        "GET": (f"/v2/{REPOSITORY}/blobs/{DIGEST}?sig=canary", BLOBS),
        "POST": (f"/v2/{REPOSITORY}/blobs/uploads/?digest={DIGEST}&x=canary", UPLOADS),
        "PATCH": (f"/v2/{REPOSITORY}/blobs/uploads/session?_state=canary", UPLOADS),
    }[method]
    fault = basic.upstream.inject(kind, path=path, times=None)  # type: ignore[arg-type]
    for _ in range(2):
        basic.ask(method, target, LOGIN, body=b"canary" if method != "GET" else b"")
    assert fault.fired
    assert CANARY not in basic.everything()


def test_signatures_of_storage_are_not_logged(secret_accounts: Accounts):
    """C30: a redirect to trusted storage whose answer is broken: its signed query stays secret."""
    login = UpstreamSettings(login=BasicLogin(secret_accounts))
    with hostile_upstream(settings=login) as upstream, hostile_upstream() as storage:
        trusted = {"storage_origins": [storage.url]}
        content = upstream.contents.add_blob(REPOSITORY, random_blob(1000))
        signed = Redirect(f"{storage.url}/objects/x?X-Amz-Signature=canary&X-Amz-Credential=canary")
        for kind in (Raw(b"HTTP/1.1 nonsense\r\n\r\n"), Cut(-1), Status(403), Status(500)):
            upstream.inject(signed, path=BLOBS, times=None)
            fault = storage.inject(kind, times=None)
            with serving(upstream, primary=trusted) as served:
                watched = Watched(served, upstream)
                target = f"/v2/{REPOSITORY}/blobs/{content.digest}"
                assert watched.ask("GET", target, LOGIN)[0] >= 400
                assert CANARY not in watched.everything()
            assert fault.fired
            storage.heal()
            upstream.heal()


def test_logins_and_tokens_are_not_logged(tokens: TokenServer, secret_accounts: Accounts):
    """C30: a login by either form, our token, the primary's, and tokens that are refused."""
    accounts = tokens.accounts
    accounts.add(USER.username, USER.password, Grant("secret/*"))
    scope = "repository:secret/app:pull"
    form = (
        f"grant_type=password&service={tokens.service}&scope={scope}&username={USER.username}"
        f"&password={USER.password}&client_id=canary"
    ).encode()
    url_encoded = ("Content-Type", "application/x-www-form-urlencoded")
    settings = UpstreamSettings(login=TokenLogin(tokens))
    with hostile_upstream(settings=settings) as upstream:
        upstream.contents.add_blob(REPOSITORY, random_blob(1000))
        trusted = {"trusted_origins": [f"http://{tokens.address}"]}
        with serving(upstream, primary=trusted) as served:
            watched = Watched(served, upstream)
            query = f"service={tokens.service}&scope={scope}&account=canary&client_id=canary"
            status, answer = watched.ask("GET", f"/v2/token?{query}", LOGIN)
            assert status == 200
            token = answer.partition('"token": "')[2].partition('"')[0]
            assert token
            assert watched.ask("POST", "/v2/token", url_encoded, body=form)[0] == 200
            push = scope.replace("pull", "pull,push")
            assert watched.ask("GET", f"/v2/token?{query}&scope={push}", LOGIN)[0] == 200
            assert watched.ask("GET", f"/v2/token?{query}", WRONG)[0] == 401
            assert watched.ask("POST", "/v2/token", url_encoded, body=b"canary=%zz")[0] >= 400
            bearer = ("Authorization", f"Bearer {token}")
            assert watched.ask("GET", f"/v2/{REPOSITORY}/manifests/v1", bearer)[0] == 404
            assert watched.ask("PUT", f"/v2/{REPOSITORY}/manifests/v1", bearer)[0] == 401
            said = watched.everything()
    assert CANARY not in said
    for part in token.split("."):
        assert part not in said


def test_pythons_own_loggers_say_nothing_either(basic: Watched, caplog):
    """C30: nothing that goes around the event log (aiohttp, asyncio) tells of requests."""
    with caplog.at_level(logging.DEBUG):
        basic.ask("GET", f"/v2/{REPOSITORY}/manifests/v1?x=canary", LOGIN)
        basic.ask("GET", f"/v2/{REPOSITORY}/manifests/v1?x=canary", WRONG)
        with raw_connection(basic.served.address) as connection:
            connection.send(b"GET /canary HTTP/1.1\r\nAuthorization canary\r\n\r\n")
            assert connection.read_reply().status == 400
        basic.served.log_text()
    assert CANARY not in caplog.text
