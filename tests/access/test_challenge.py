"""How clients are challenged: as the primary does, in an outage too, and towards ourselves."""

from ipaddress import ip_network

import pytest

from config import Address
from tests.access.in_process import in_process
from tests.access.scripted import scripted
from tests.access.worlds import ask_token, bearer, call, challenge_of, contents
from tests.support.hostile import Answer, hostile_upstream
from tests.support.ports import LOOPBACK, claimed_port
from tests.support.raw_http import exchange, request_bytes
from tests.support.token_calls import basic_value
from tests.support.token_server import SERVICE, Failure
from tests.support.waiting import wait_until

BEARER = ("WWW-Authenticate", f'Bearer realm="http://tokens.test/t",service="{SERVICE}"')

# --- where the realm leads ------------------------------------------------------------------------

NAMES = ("registry.test", "ports.test:8443", "[::1]", "127.0.0.1")

# Host, X-Forwarded-Proto lines -> realm (without path); None: 421
PLAIN = [
    ("registry.test", (), "http://registry.test"),
    ("registry.test:5000", (), "http://registry.test:5000"),
    ("REGISTRY.test", (), "http://REGISTRY.test"),
    ("127.0.0.1:80", (), "http://127.0.0.1:80"),
    ("[::1]", (), "http://[::1]"),
    ("[::1]:5001", (), "http://[::1]:5001"),
    ("ports.test:8443", (), "http://ports.test:8443"),
    ("ports.test", (), None),
    ("ports.test:443", (), None),
    ("registry.test.", (), None),
    ("registry.test:", (), None),
    ("registry.test:x", (), None),
    ("registry.test:@evil.test", (), None),
    ("registry.test:80@evil.test", (), None),
    ('registry.test:80",x="', (), None),
    ("[::1]evil.test", (), None),
    ("[::1", (), None),
    ("evil.test", (), None),
    ("", (), None),
    ("registry.test", ("https",), "http://registry.test"),
]

# the same from a peer that is a trusted proxy
BEHIND_PROXY = [
    ("registry.test", ("https",), "https://registry.test"),
    ("registry.test:443", ("https",), "https://registry.test:443"),
    ("registry.test", ("http",), "http://registry.test"),
    ("registry.test", ("https", "https"), "http://registry.test"),
    ("registry.test", ("https, http",), "http://registry.test"),
    ("registry.test", ("ftp",), "http://registry.test"),
    ("registry.test", (), "http://registry.test"),
]


@pytest.fixture(scope="module")
def bearer_primary():
    """A primary that only ever challenges."""
    with scripted(lambda _: Answer(401, (BEARER,))) as primary:
        yield primary.url


@pytest.fixture(scope="module")
def plain(bearer_primary):
    with in_process(bearer_primary, listen={"names": NAMES}) as one:
        yield one


@pytest.fixture(scope="module")
def behind_proxy(bearer_primary):
    trusted = {"trusted_proxies": (ip_network("127.0.0.0/8"),)}
    with in_process(bearer_primary, listen={"names": NAMES}, access=trusted) as one:
        yield one


def realm_for(one, host, protocols, **tls):
    fields = [("X-Forwarded-Proto", each) for each in protocols]
    fields.append(("X-Forwarded-Host", "evil.test"))
    reply = exchange(one.address, request_bytes("GET", "/v2/", host, *fields), **tls)
    if reply.status == 401:
        return challenge_of(_Reply(reply))["realm"].removesuffix("/v2/token")
    assert reply.status in (400, 421), reply
    return None


class _Reply:
    """A raw reply with the one method of a client's."""

    def __init__(self, raw):
        self.header = lambda name: raw.header(name) or None


@pytest.mark.parametrize(("host", "protocols", "realm"), PLAIN)
def test_the_realm_is_where_the_client_came(host, protocols, realm, plain):
    """Settled 4: scheme and Host of the client, where that is ours; what others say is nothing."""
    assert realm_for(plain, host, protocols) == realm


@pytest.mark.parametrize(("host", "protocols", "realm"), BEHIND_PROXY)
def test_a_trusted_proxy_tells_the_scheme(host, protocols, realm, behind_proxy):
    """Settled 4: X-Forwarded-Proto counts from a trusted peer, if it says one thing."""
    assert realm_for(behind_proxy, host, protocols) == realm


@pytest.mark.parametrize("public_scheme", ["", "http", "https"])
def test_the_realm_is_never_http_behind_tls(public_scheme, bearer_primary, authority):
    """Settled 4: whoever came over TLS is led nowhere else, whatever settings or a proxy say."""
    files = authority.issue("registry.test")
    with in_process(
        bearer_primary,
        listen={"names": NAMES, "public_scheme": public_scheme},
        access={"trusted_proxies": (ip_network("127.0.0.0/8"),)},
        tls={"certificate": files.certificate, "key": files.key},
    ) as one:
        tls = {"tls": authority.client_context(), "server_name": "registry.test"}
        for protocols in ((), ("http",), ("https",)):
            assert realm_for(one, "registry.test", protocols, **tls) == "https://registry.test"


@pytest.mark.parametrize("public_scheme", ["http", "https"])
def test_the_public_scheme_is_what_the_settings_say(public_scheme, bearer_primary):
    """Settled 4: listen.public_scheme goes before what a peer says."""
    listen = {"names": NAMES, "public_scheme": public_scheme}
    with in_process(bearer_primary, listen=listen) as one:
        for protocols in ((), ("http",), ("https",)):
            assert realm_for(one, "registry.test", protocols) == f"{public_scheme}://registry.test"


def test_over_ipv6_the_realm_is_too(bearer_primary):
    """Settled 4: the realm of a client that came over IPv6 leads back there."""
    with claimed_port() as four, claimed_port() as six:
        listen = {"registry": (Address(LOOPBACK, four), Address("::1", six)), "names": ()}
        with in_process(bearer_primary, listen=listen):
            host = f"[::1]:{six}"
            reply = exchange(host, request_bytes("GET", "/v2/", host))
            assert challenge_of(_Reply(reply))["realm"] == f"http://{host}/v2/token"


# --- what it says ---------------------------------------------------------------------------------


def test_nobody_is_challenged_as_the_primary_does(still_world):
    """Settled 1: without credentials everything gets 401 with realm, service and the scope that is
    needed, and the primary isn't asked for it.
    """
    world = still_world
    world.upstream.forget()
    digest = world.images["alice/app"].digest
    asked = [
        ("GET", "/v2/", None),
        ("GET", "/v2/alice/app/manifests/latest", "repository:alice/app:pull"),
        ("HEAD", world.layer("alice/app"), "repository:alice/app:pull"),
        ("GET", "/v2/alice/app/tags/list", "repository:alice/app:pull"),
        ("GET", f"/v2/alice/app/referrers/{digest}", "repository:alice/app:pull"),
        ("GET", "/v2/_catalog", "registry:catalog:*"),
        ("POST", "/v2/alice/app/blobs/uploads/", "repository:alice/app:pull,push"),
        ("PUT", "/v2/alice/app/manifests/latest", "repository:alice/app:pull,push"),
        ("DELETE", "/v2/alice/app/manifests/latest", "repository:alice/app:delete"),
    ]
    for method, target, scope in asked:
        reply = call(world.replica, method, target)
        challenge = challenge_of(reply)
        assert reply.status == 401
        assert challenge["realm"] == f"{world.replica.url}/v2/token"
        assert challenge["service"] == SERVICE
        assert challenge.get("scope") == scope
        assert "error" not in challenge
        assert method == "HEAD" or reply.error_codes == ["UNAUTHORIZED"]
    assert world.upstream.seen == []


def test_passwords_stay_passwords(password_world, alice):
    """Settled 3: a primary with Basic is challenged for with Basic, and no tokens are issued."""
    world = password_world()
    reply = call(world.replica, "GET", "/v2/")
    assert (reply.status, reply.header("WWW-Authenticate")) == (401, 'Basic realm="hostile"')
    login = {"Authorization": basic_value(alice)}
    assert call(world.replica, "GET", "/v2/", login).status == 200
    asked = world.upstream.count("GET", "/v2/")
    assert call(world.replica, "GET", "/v2/", login).status == 200
    assert world.upstream.count("GET", "/v2/") == asked  # decided, and remembered


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_the_challenge_survives_an_outage_and_a_restart_in_it(kind, token_world, password_world):
    """Settled 1: without credentials 401 with the remembered challenge: in an outage, and after a
    restart in an outage, since clients send credentials to nobody who doesn't ask for them.
    """
    world = token_world() if kind == "tokens" else password_world()
    before = call(world.replica, "GET", "/v2/")
    world.upstream.cut()
    if world.tokens:
        world.tokens.failure = Failure.ERROR
    for target in ("/v2/", "/v2/alice/app/manifests/latest"):
        assert call(world.replica, "GET", target).status == 401
    world.replica.restart()
    for _ in range(2):
        after = call(world.replica, "GET", "/v2/")
        assert after.status == 401
        assert after.header("WWW-Authenticate") == before.header("WWW-Authenticate")
        assert call(world.replica, "GET", "/v2/alice/app/manifests/latest").status == 401


@pytest.mark.parametrize("kind", ["tokens", "passwords"])
def test_unknown_credentials_in_an_outage(kind, token_world, password_world, alice):
    """Settled 1, C23: credentials that can't be verified get 503 with Retry-After, wherever they
    are presented.
    """
    world = token_world() if kind == "tokens" else password_world()
    world.upstream.cut()
    if world.tokens:
        world.tokens.failure = Failure.ERROR
    login = {"Authorization": basic_value(alice)}
    replies = [
        call(world.replica, "GET", "/v2/", login),
        call(world.replica, "GET", "/v2/alice/app/manifests/latest", login),
        call(world.replica, "GET", world.layer("alice/app"), login),
        call(world.replica, "GET", "/v2/alice/app/tags/list", login),
        call(world.replica, "POST", "/v2/alice/app/blobs/uploads/", login),
    ]
    if world.tokens:
        replies.append(ask_token(world.replica, "repository:alice/app:pull", credentials=alice))
        replies.append(ask_token(world.replica, credentials=alice))
    assert [reply.status for reply in replies] == [503] * len(replies)
    assert all(int(reply.header("Retry-After")) > 0 for reply in replies)


def test_an_open_primary_stays_open(opened):
    """Settled 3: where the primary asks for nothing nobody is asked, not even in an outage."""
    held, images = contents()
    upstream = opened(hostile_upstream(contents=held))
    one = opened(in_process(upstream.url))
    target = f"/v2/bob/app/manifests/{images['bob/app'].digest}"
    assert call(one, "GET", "/v2/").status == 200
    assert call(one, "GET", target).status == 200
    upstream.cut()
    one.clock.advance(61)
    assert call(one, "GET", "/v2/").status == 200
    assert call(one, "GET", target).status == 200


def test_a_challenge_without_a_service(opened, accounts, alice, tmp_path):
    """A primary whose challenge names no service gets clients in all the same."""
    service = opened(scripted(lambda _: Answer(200, (), b'{"token":"any"}')))
    challenge = ("WWW-Authenticate", f'Bearer realm="{service.url}/t"')

    def answer(request):
        if request.fields.get("Authorization") == "Bearer any":
            return Answer(200, (("Content-Type", "application/octet-stream"),), b"")
        return Answer(401, (challenge,))

    primary = opened(scripted(answer))
    one = opened(in_process(primary.url, primary={"trusted_origins": (service.url,)}))
    token = bearer(ask_token(one, "repository:a:pull", credentials=alice))
    empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert call(one, "GET", f"/v2/a/blobs/{empty}", token).status == 200


def test_a_default_backend_does_not_open_the_registry(opened):
    """Settled 1: a 404 or a 403 at /v2/ is no word about authentication: what is known stays."""
    primary = opened(scripted(lambda _: Answer(401, (BEARER,))))
    one = opened(in_process(primary.url))
    before = call(one, "GET", "/v2/").header("WWW-Authenticate")
    for status in (404, 403, 500, 429):
        primary.always(status, b"default backend")
        one.restart()
        asked = len(primary.received)
        call(one, "GET", "/v2/")
        wait_until(lambda asked=asked: len(primary.received) >= asked)
        reply = call(one, "GET", "/v2/")
        assert (reply.status, reply.header("WWW-Authenticate")) == (401, before)
