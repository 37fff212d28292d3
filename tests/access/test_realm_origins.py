"""Where credentials may go: to the primary, and to the token service that the settings name."""

import pytest

from config.values import parse_address
from proxy.net.origins import Origin, TrustedOrigins
from proxy.oci.errors import UntrustedOrigin
from proxy.registry.realm_origins import RealmOrigins
from tests.access.in_process import in_process
from tests.access.worlds import ask_token, bearer, call, challenge_of, contents, with_tokens
from tests.conftest import require
from tests.support import registries
from tests.support.hostile import BLOBS, Redirect, hostile_upstream
from tests.support.images import oci_image
from tests.support.pushing import push
from tests.support.recording_relay import recording_relay
from tests.support.registries import Token, docker_registry
from tests.support.skopeo import docker, layout
from tests.support.token_calls import basic_value
from tests.support.token_server import token_server
from tests.support.trap import trap

NAMED = ("https://auth.example.com", "http://tokens.internal:5002")
SHARED = ("registry.example.com", "alias.example.com:8443", "[2001:db8::1]")

# realm, the primary's URL -> "link": over the private link; "direct"; None: refused
PLACES = [
    ("https://registry.example.com/token", "https://registry.example.com", "link"),
    ("https://registry.example.com:443/token", "https://registry.example.com", "link"),
    ("https://registry.example.com/token", "https://primary.internal", "link"),
    ("https://REGISTRY.example.com/token", "https://registry.example.com", "link"),
    ("https://alias.example.com:8443/token", "https://primary.internal", "link"),
    ("https://[2001:db8::1]/token", "https://primary.internal", "link"),
    ("https://registry.example.com:5000/t", "https://registry.example.com:5000", "link"),
    ("https://registry.example.com/token", "http://10.0.0.5:5000", "link"),
    ("http://registry.example.com/token", "http://10.0.0.5:5000", "link"),
    ("http://10.0.0.5:5000/token", "http://10.0.0.5:5000", "link"),
    ("https://auth.example.com/token", "https://registry.example.com", "direct"),
    ("http://tokens.internal:5002/", "https://registry.example.com", "direct"),
    ("http://registry.example.com/token", "https://registry.example.com", None),
    ("https://registry.example.com:8443/token", "https://registry.example.com", None),
    ("https://alias.example.com/token", "https://primary.internal", None),
    ("https://registry.example.com.evil.test/t", "https://registry.example.com", None),
    ("https://registry.example.com./token", "https://registry.example.com", None),
    ("https://user@registry.example.com/token", "https://registry.example.com", None),
    ("https://registry.example.com@evil.test/t", "https://registry.example.com", None),
    ("https://evil.test\\@registry.example.com/", "https://registry.example.com", None),
    ("https://registry.example.com:99999/token", "https://registry.example.com", None),
    ("https://[::1/token", "https://registry.example.com", None),
    ("https://auth.example.com:8443/token", "https://registry.example.com", None),
    ("http://auth.example.com/token", "https://registry.example.com", None),
    ("https://tokens.internal:5002/", "https://registry.example.com", None),
    ("http://10.0.0.5:5001/token", "http://10.0.0.5:5000", None),
    ("https://10.0.0.5:5000/token", "http://10.0.0.5:5000", None),
    ("http://localhost:5000/token", "http://127.0.0.1:5000", None),
    ("http://169.254.169.254/latest", "http://127.0.0.1:5000", None),
    ("http://2130706433:5000/token", "http://127.0.0.1:5000", None),
    ("//registry.example.com/token", "https://registry.example.com", None),
    ("/token", "https://registry.example.com", None),
    ("file:///etc/passwd", "https://registry.example.com", None),
    ("", "https://registry.example.com", None),
]


@pytest.mark.parametrize(("realm", "primary", "place"), PLACES)
def test_a_realm_is_spoken_to_where_the_settings_say(realm, primary, place):
    """C13: a realm is the primary's own, one the settings name, or refused."""
    trusted = TrustedOrigins(map(Origin.of, NAMED), "primary.trusted_origins")
    origins = RealmOrigins(Origin.of(primary), SHARED, trusted)
    if place is None:
        with pytest.raises(UntrustedOrigin, match=r"primary\.trusted_origins|no URL"):
            origins.place(realm)
        assert not origins.is_shared(realm)
    else:
        assert (origins.place(realm) is None) == (place == "link")
        assert origins.is_shared(realm) == (place == "link")


EVIL_REALMS = {
    "another port": "http://{address}/token",
    "a name for loopback": "http://localhost:{port}/token",
    "user info": "http://registry.test@{address}/token",
    "https in place of http": "https://{address}/token",
    "a number": "http://2130706433:{port}/token",
    "IPv6": "http://[::ffff:127.0.0.1]:{port}/token",
    "no host": "http:///{address}/token",
}


@pytest.mark.parametrize("realm", EVIL_REALMS.values(), ids=EVIL_REALMS)
def test_an_evil_realm_sees_nothing(realm, token_world, alice, opened):
    """C13, CVE-2026-33540: a realm on an unnamed origin gets no connection, the client 502."""
    there = opened(trap())
    world = token_world(realm.format(address=there.address, port=there.listener.port))
    login = {"Authorization": basic_value(alice)}
    replies = [
        ask_token(world.replica, "repository:alice/app:pull", credentials=alice),
        ask_token(world.replica, credentials=alice),
        call(world.replica, "GET", world.layer("alice/app"), login),
    ]
    assert [reply.status for reply in replies] == [502, 502, 502]
    assert all(b"primary.trusted_origins" in reply.body for reply in replies)
    assert there.connections == 0
    assert world.token_server.requests == []
    challenge = challenge_of(call(world.replica, "GET", "/v2/"))
    assert challenge["realm"] == f"{world.replica.url}/v2/token"


def test_a_realm_on_the_shared_domain_is_reached_over_the_private_link(
    accounts, alice, opened, tmp_path
):
    """Settled 4: a realm on the shared domain keeps its path, and is asked for over the link."""
    realm = "http://registry.test/service/token"
    tokens = opened(token_server(tmp_path, accounts, path="/service/token", realm=realm))
    held, images = contents()
    upstream = opened(hostile_upstream(contents=held, settings=with_tokens(tokens)))
    link = opened(recording_relay(upstream.address, routes={"/service/token": tokens.address}))
    one = opened(
        in_process(
            "http://registry.test",
            primary={"connect_to": (parse_address(link.address),)},
            listen={"names": ("registry.test", "127.0.0.1")},
        )
    )
    shared = {"Host": "registry.test"}
    challenge = challenge_of(call(one, "GET", "/v2/", shared))
    assert challenge["realm"] == realm
    login = {**shared, "Authorization": basic_value(alice)}
    target = f"/service/token?scope=repository:alice/app:pull&service={tokens.service}"
    token = bearer(call(one, "GET", target, login))
    digest = images["alice/app"].digest
    assert call(one, "GET", f"/v2/alice/app/manifests/{digest}", {**shared, **token}).status == 200
    asked = link.requests("GET", "/service/token")
    assert [each.status for each in asked] == [200]
    assert {each.fields.get("Host") for each in link.exchanges} == {"registry.test"}
    assert len(tokens.requests) == 1


def test_a_real_registry_with_its_realm_on_the_shared_domain(
    accounts, alice, opened, tmp_path, skopeo
):
    """Settled 4: clients are led to us at the primary's own realm path; skopeo logs in there and
    pulls with our token; a push goes with the primary's, which came the same way.
    """
    require(registries.PROGRAM)
    link = opened(recording_relay("127.0.0.1:9"))  # leads on once both are there
    realm = f"{link.url}/service/token"
    tokens = opened(token_server(tmp_path / "tokens", accounts, path="/service/token", realm=realm))
    primary = opened(docker_registry(tmp_path / "primary", Token(tokens, realm)))
    link.target, link.routes = primary.address, {"/service/token": tokens.address}
    one = opened(in_process(link.url))
    assert challenge_of(call(one, "GET", "/v2/"))["realm"] == f"{one.url}/service/token"
    image = oci_image("shared realm")
    push(one.client(alice), "alice/app", image, "v1")
    pushed = {each.fields.get("Authorization")[7:] for each in link.requests("POST")}
    assert pushed
    assert all(tokens.may(token, "alice/app", "push") for token in pushed)
    skopeo.login(one.address, alice).check()
    name = docker(one.address, "alice/app:v1")
    skopeo.copy(name, layout(tmp_path / "image")).check()
    ours = skopeo.raw_manifest(name)
    assert ours == image.data
    assert {each.username for each in tokens.requests} == {"alice"}
    assert link.count("GET", "/service/token") == len(tokens.requests)


def test_a_redirect_elsewhere_is_not_followed(token_world, alice, opened):
    """T17: a redirect of the primary to an origin that no setting names isn't followed."""
    there = opened(trap())
    world = token_world()
    fault = world.upstream.inject(Redirect(f"{there.url}/stolen"), path=BLOBS, times=None)
    login = {"Authorization": basic_value(alice)}
    assert call(world.replica, "GET", world.layer("alice/app"), login).status == 502
    assert fault.fired
    assert there.connections == 0


def test_a_redirecting_token_service_is_no_token_service(relayed, alice, opened):
    """T17: a token service that redirects gets no second request and its target none."""
    there = opened(trap())
    relayed.service.always(307, b"", ("Location", f"{there.url}/token"))
    reply = ask_token(relayed.replica, "repository:alice/app:pull", credentials=alice)
    assert reply.status == 502
    assert len(relayed.service.received) == 1
    assert there.connections == 0
