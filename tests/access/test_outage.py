"""C23, F11: the primary is gone for hours; whoever was let in before pulls on, logged in anew."""

import time
from dataclasses import dataclass

import pytest

from tests.access.in_process import InProcess, in_process
from tests.access.worlds import FORM, call, token_path
from tests.conftest import require
from tests.support import registries
from tests.support.accounts import Credentials
from tests.support.images import Manifest, multi_platform
from tests.support.pushing import push
from tests.support.registries import Htpasswd, Registry, Token, docker_registry
from tests.support.registry_client import RegistryClient
from tests.support.skopeo import docker, layout, skopeo
from tests.support.token_calls import basic_value
from tests.support.token_server import Failure, TokenServer
from tests.support.waiting import wait_until

HOURS = 4 * 3600.0
BREAKER = 11.0  # an address that failed is tried again after ten seconds
NAME = "alice/app:v1"


@dataclass(slots=True)
class Region:
    """A real primary with an image of alice's, and a replica before it."""

    primary: Registry
    tokens: TokenServer | None
    replica: InProcess
    image: Manifest

    def lose_primary(self) -> None:
        """Stop the primary and its token service, and let four hours pass."""
        self.primary.stop()
        if self.tokens is not None:
            self.tokens.failure = Failure.ERROR
        self.replica.clock.advance(HOURS)

    def bring_primary_back(self) -> None:
        if self.tokens is not None:
            self.tokens.failure = None
        self.primary.start()
        self.replica.clock.advance(BREAKER)


@pytest.fixture(params=["tokens", "passwords"])
def region(request, tmp_path, accounts, alice, opened):
    """With a token service elsewhere, or with a password file; the image was pulled once, whole."""
    require(registries.PROGRAM)
    tokens = None
    if request.param == "tokens":
        tokens = request.getfixturevalue("tokens")
        primary = opened(docker_registry(tmp_path / "primary", Token(tokens)))
    else:
        access = Htpasswd(accounts.credentials)
        primary = opened(docker_registry(tmp_path / "primary", access))
    image = multi_platform("outage")
    push(RegistryClient(primary.url, alice), "alice/app", image, "v1")
    trusted = {"trusted_origins": (f"http://{tokens.address}",)} if tokens else {}
    one = opened(in_process(primary.url, primary=trusted))
    return Region(primary, tokens, one, image)


def copy(region, folder, credentials, name=NAME):
    """Copy the image with a skopeo that logs in anew; give how that went."""
    user = skopeo(folder)
    login = user.login(region.replica.address, credentials)
    copied = user.copy(docker(region.replica.address, name), layout(folder / "image"))
    return login, copied


def test_valid_clients_pull_on_and_log_in_anew(region, alice, bob, tmp_path, node):
    """C23: four hours into an outage skopeo, with a new login by tag and by digest, and containerd
    get the whole image; what is stale says so; others are refused; writes fail at once; and with
    the primary all is as before.
    """
    login, copied = copy(region, tmp_path / "before", alice)
    login.check()
    copied.check()
    region.lose_primary()

    for number, name in enumerate((NAME, f"alice/app@{region.image.digest}")):
        login, copied = copy(region, tmp_path / f"during-{number}", alice, name)
        login.check()
        copied.check()
    reference = f"{region.replica.address}/{NAME}"
    node.fetch(reference, credentials=alice, plain_http=True).check()
    held = {each.digest for each in region.image.all_manifests()}
    assert held | {blob.digest for blob in region.image.all_blobs()} <= node.digests()

    client = region.replica.client(alice)
    stale = client.get("/v2/alice/app/manifests/v1").expect(200)
    assert stale.body == region.image.data
    assert stale.header("Warning").startswith("110 ")
    assert int(stale.header("Age")) >= HOURS
    assert client.get(f"/v2/alice/app/manifests/{region.image.digest}").header("Warning") is None
    assert region.replica.metrics().value("proxima_stale_answers_total") >= 3
    assert region.replica.decisions("grace") > 0

    refuse_strangers(region, bob, tmp_path)
    refuse_writes(region, client)

    region.bring_primary_back()
    again = region.replica.client(alice)

    def is_current():
        reply = again.get("/v2/alice/app/manifests/v1").expect(200)
        return reply.body == region.image.data and reply.header("Warning") is None

    wait_until(is_current)  # the first request to a sick address finds out for all
    target = "/v2/alice/app/blobs/uploads/"
    assert region.replica.client(alice).request("POST", target).status == 202
    login, _ = copy(region, tmp_path / "after", bob)
    login.check()


def refuse_strangers(region, bob, folder):
    """Whoever wasn't seen before, or has another password, gets nothing, and is told to wait."""
    for number, who in enumerate((bob, Credentials("alice", "guessed"))):
        login, copied = copy(region, folder / f"stranger-{number}", who)
        assert login.status != 0
        assert copied.status != 0
        stored = folder / f"stranger-{number}" / "image" / "blobs"
        assert not [path for path in stored.rglob("*") if path.is_file()]
        headers = {"Authorization": basic_value(who)}
        reply = call(region.replica, "GET", "/v2/alice/app/manifests/v1", headers)
        assert (reply.status, bool(reply.header("Retry-After"))) == (503, True)
    assert call(region.replica, "GET", "/v2/alice/app/manifests/v1").status == 401


def refuse_writes(region, client):
    """A write is answered 503 at once, also one whose body would be long."""
    login = {"Authorization": basic_value(client.credentials)}
    begun = time.monotonic()
    for method, target, body in (
        ("POST", "/v2/alice/app/blobs/uploads/", b""),
        ("PUT", "/v2/alice/app/manifests/v1", region.image.data),
        ("DELETE", "/v2/alice/app/manifests/v1", b""),
    ):
        reply = call(region.replica, method, target, login, body)
        assert (reply.status, bool(reply.header("Retry-After"))) == (503, True)
    assert time.monotonic() - begun < 3
    if region.tokens is not None:
        path = f"{token_path(region.replica)}?scope=repository:alice/app:pull,push"
        assert call(region.replica, "GET", path, login).status == 503


@pytest.mark.parametrize("region", ["tokens"], indirect=True)
@pytest.mark.parametrize("way", ["GET", "POST"])
def test_both_token_forms_work_in_an_outage(way, region, alice):
    """C23: containerd's POST and everybody's GET give a token for a login that was accepted, with
    a scope and without, and 503 for one that never was.
    """
    region.replica.client(alice).get("/v2/alice/app/manifests/v1").expect(200)
    path = token_path(region.replica)
    region.lose_primary()

    def ask(who, scope):
        if way == "GET":
            query = f"?service=x&scope={scope}" if scope else "?service=x"
            return call(region.replica, "GET", path + query, {"Authorization": basic_value(who)})
        form = f"grant_type=password&service=x&client_id=containerd-client&username={who.username}"
        form += f"&password={who.password.replace(' ', '+')}"
        form += f"&scope={scope}" if scope else ""
        return call(region.replica, "POST", path, FORM, form.encode())

    scope = "repository:alice/app:pull"
    token = {"Authorization": f"Bearer {ask(alice, scope).expect(200).json()['token']}"}
    assert call(region.replica, "GET", "/v2/alice/app/manifests/v1", token).status == 200
    login = {"Authorization": f"Bearer {ask(alice, '').expect(200).json()['token']}"}
    assert call(region.replica, "GET", "/v2/", login).status == 200
    assert call(region.replica, "GET", "/v2/alice/app/manifests/v1", login).status == 401
    guess = Credentials("alice", "guessed")
    assert [ask(guess, each).status for each in (scope, "")] == [503, 503]
    region.replica.clock.advance(24 * 3600.0)
    assert [ask(alice, each).status for each in (scope, "")] == [503, 503]
