"""`POST /notifications`: who may, what is kept, what is parked."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.events.payloads import names, parsed, payload
from tests.hub.follower import following
from tests.hub.place import (
    ADMIN,
    NEXT_SECRET,
    SENDER,
    SENDER_SECRET,
    Place,
    pushed,
    running_hub,
    signed,
)
from tests.support.raw_http import exchange, request_bytes

REFUSED = {"logged": 0, "repeated": 0, "ignored": 0, "parked": False}


async def test_a_notification_is_logged_and_told(place: Place) -> None:
    """What is answered 202 has a number in the log, and reaches who follows it."""
    async with following(place) as follower:
        status, document = await place.post(pushed("v1"))
        assert (status, document["logged"]) == (202, 1)
        sent = await follower.next()
    assert (sent.id, sent.tag) == (f"{place.epoch}:1", "v1")
    assert abs(sent.data["received_at"] - time.time()) < 60


async def test_the_same_event_again_is_the_same(place: Place) -> None:
    """A retry adds nothing; another event under the same id does, so that none is lost."""
    assert (await place.post(pushed("v1")))[1]["logged"] == 1
    assert (await place.post(pushed("v1")))[1]["repeated"] == 1
    other = pushed("v1") | {"tag": "v2"}
    assert (await place.post([other, other]))[1] == REFUSED | {"logged": 1, "repeated": 1}
    assert place.head == 2


@pytest.mark.parametrize("name", names())
async def test_every_recorded_payload_is_taken(place: Place, name: str) -> None:
    """Each sender's own words are answered 2xx, and logged as far as they are understood."""
    headers, body = payload(name)
    status, document = await place.post(body, {**SENDER, **headers})
    expected = parsed(name)
    assert status == 202
    assert document["logged"] == place.head == len(expected.understood)
    assert document["parked"] == bool(expected.unread)


# --- what isn't understood ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        (b"", "/notifications", "JSON"),
        (b"not JSON", "/notifications", "JSON"),
        (b"\xff\xfe\x00", "/notifications", "JSON"),
        (b"[" * 100_000, "/notifications", "JSON"),
        (b'{"hello": "world"}', "/notifications", "no form"),
        (json.dumps(pushed("v1")).encode(), "/notifications?sender=gitea", "gitea"),
        (json.dumps([pushed("v1"), pushed("v2") | {"tag": "-"}]).encode(), "/notifications", "1"),
    ],
    ids=["nothing", "text", "bytes", "deep", "unknown form", "unknown sender", "one bad entry"],
)
async def test_what_is_not_understood_is_parked(
    place: Place, body: bytes, path: str, reason: str
) -> None:
    """C18: it is answered 2xx, so that the sender goes on, and kept with the reason."""
    status, document = await place.post(body, path=path)
    assert (status, document["parked"]) == (202, True)
    _, listing = await place.ask("GET", "/v1/parked", ADMIN)
    (letter,) = listing["parked"]
    assert reason in letter["reason"]
    assert letter["size_bytes"] == len(body)
    assert (await place.metrics()).value("proxima_hub_parked") == 1


async def test_an_entry_beside_a_bad_one_is_logged(place: Place) -> None:
    """One entry that isn't understood loses none of its neighbours."""
    await place.post([pushed("v1"), {"version": 1, "event": "unheard.of"}, pushed("v2")])
    assert place.head == 2


async def test_parked_letters_are_bounded(tmp_path: Path) -> None:
    """The oldest go, by number and by bytes, and are counted; a large one may stand alone."""
    given = {"receiving__max_parked": 3, "receiving__max_parked_size": "1MiB"}
    async with running_hub(tmp_path, **given) as place:
        for number in range(5):
            await place.post(f"letter {number}".encode())
        _, listing = await place.ask("GET", "/v1/parked", ADMIN)
        assert [each["beginning"] for each in listing["parked"]] == [
            f"letter {i}" for i in (2, 3, 4)
        ]
        await place.post(b"x" * (1 << 20))
        _, listing = await place.ask("GET", "/v1/parked", ADMIN)
        assert [each["size_bytes"] for each in listing["parked"]] == [1 << 20]
        assert (await place.metrics()).value("proxima_hub_parked_dropped_total") == 5


async def test_parked_letters_come_in_pages(place: Place) -> None:
    """A listing gives so many and where it goes on."""
    for number in range(3):
        await place.post(f"letter {number}".encode())
    _, first = await place.ask("GET", "/v1/parked?limit=2", ADMIN)
    _, second = await place.ask("GET", f"/v1/parked?after={first['next']}&limit=2", ADMIN)
    assert [each["id"] for each in first["parked"] + second["parked"]] == [1, 2, 3]
    assert second["next"] is None


async def test_a_parked_letter_is_tried_again(place: Place) -> None:
    """One that is understood now is logged and forgotten; one that isn't stays, and says why."""
    await place.post(b"still no JSON")
    await place.post(pushed("v1"), path="/notifications?sender=gitea")
    await place.hub._database.write(_name_the_sender)  # as a version would that knows more
    assert (await place.ask("POST", "/v1/parked/1/replay", ADMIN))[1]["parked"] is True
    assert (await place.ask("POST", "/v1/parked/2/replay", ADMIN))[1]["logged"] == 1
    _, listing = await place.ask("GET", "/v1/parked", ADMIN)
    assert [each["id"] for each in listing["parked"]] == [1]
    assert (await place.ask("DELETE", "/v1/parked/1", ADMIN))[0] == 204
    for method, path in (("DELETE", "/v1/parked/1"), ("POST", "/v1/parked/2/replay")):
        assert (await place.ask(method, path, ADMIN))[0] == 404


def _name_the_sender(connection) -> None:
    connection.exec_driver_sql("UPDATE parked SET sender = 'plain' WHERE id = 2")


# --- who may --------------------------------------------------------------------------------------

BODY = json.dumps(pushed("v1")).encode()


@pytest.mark.parametrize("secret", [SENDER_SECRET, NEXT_SECRET])
@pytest.mark.parametrize("way", ["header", "bearer", "signature"])
async def test_both_secrets_count_in_every_way(place: Place, way: str, secret: str) -> None:
    """A secret in use and the next one both let a sender in, shown or signing."""
    headers = {
        "header": {"X-Proxima-Secret": secret},
        "bearer": {"Authorization": f"Bearer {secret}"},
        "signature": signed(BODY, int(time.time()), secret),
    }[way]
    assert (await place.post(BODY, headers))[0] == 202
    assert place.head == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Proxima-Secret": ""},
        {"X-Proxima-Secret": "changeme"},
        {"Authorization": f"Basic {SENDER_SECRET}"},
        ADMIN,
        {**SENDER, "X-Proxima-Signature": "sha256=00"},
        signed(BODY + b" ", int(time.time())),
        signed(BODY, int(time.time()) - 3600),
    ],
    ids=["nothing", "empty", "guess", "basic", "operator", "both", "other body", "old"],
)
async def test_forged_notifications_have_no_effect(place: Place, headers: dict[str, str]) -> None:
    """C18: one that proves nothing is refused, leaves a line in the log, and nothing else."""
    status, document = await place.post(BODY, headers)
    assert (status, document["errors"][0]["code"]) == (401, "UNAUTHORIZED")
    assert place.head == 0
    assert (await place.metrics()).value("proxima_hub_parked") == 0
    (line,) = place.events("notification.refused")
    assert line["reason"]


async def test_a_signed_notification_counts_once(place: Place) -> None:
    """C18: a replay within the window is refused, whatever it says of its sender."""
    headers = signed(BODY, int(time.time()))
    assert (await place.post(BODY, headers))[0] == 202
    for path in ("/notifications", "/notifications?sender=harbor"):
        assert (await place.post(BODY, headers, path))[0] == 401
    assert place.head == 1


async def test_no_secret_is_written_anywhere(place: Place) -> None:
    """C30: neither log, metrics nor the parked letters have the secret that was shown."""
    await place.post(b"junk", {**SENDER, "Authorization": f"Bearer {ADMIN['Authorization']}"})
    await place.post(b"junk", {"X-Proxima-Secret": "a-wrong-one-of-the-right-size"})
    place.hub._telemetry.log.flush()
    metrics = repr(await place.metrics()).encode()
    for text in (*_files(place), metrics):
        assert SENDER_SECRET.encode() not in text
        assert b"a-wrong-one" not in text


def _files(place: Place) -> list[bytes]:
    database = Path(place.settings.database.url.removeprefix("sqlite:///"))
    return [place.log_path.read_bytes(), database.read_bytes()]


# --- bounds ---------------------------------------------------------------------------------------

FRAMINGS = [("Content-Length", str(10 << 30)), ("Transfer-Encoding", "chunked")]


@pytest.mark.parametrize("secret", [SENDER_SECRET, "none"])
async def test_a_body_that_says_it_is_too_large_is_not_read(place: Place, secret: str) -> None:
    """C18: the cap comes before who it is and before a byte of the body."""
    address = place.url.removeprefix("http://")
    data = request_bytes(
        "POST", "/notifications", address, ("X-Proxima-Secret", secret), FRAMINGS[0]
    )
    reply = await asyncio.to_thread(exchange, address, data, method="POST")
    assert reply.status == 413
    assert b"TOO_LARGE" in reply.body


async def test_a_body_that_turns_out_too_large_is_cut(tmp_path: Path) -> None:
    """C18: a chunked body ends where the cap is, and nothing of it is kept."""
    async with running_hub(tmp_path, receiving__max_body="64KiB") as place:
        address = place.url.removeprefix("http://")
        head = request_bytes(
            "POST", "/notifications", address, ("X-Proxima-Secret", SENDER_SECRET), FRAMINGS[1]
        )
        chunk = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        reply = await asyncio.to_thread(exchange, address, head + chunk * 64, method="POST")
        assert reply.status == 413
        assert (await place.metrics()).value("proxima_hub_parked") == 0


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_who_proves_nothing_is_not_asked_for_a_body(
    place: Place, framing: tuple[str, str]
) -> None:
    """C12: no 100 for a sender that isn't allowed; one that is gets it."""
    address = place.url.removeprefix("http://")

    def ask(*fields: tuple[str, str], body: bytes = b""):
        data = request_bytes("POST", "/notifications", address, *fields, body=body)
        return exchange(address, data, method="POST")

    expect = ("Expect", "100-continue")
    size = framing if framing[0] != "Content-Length" else ("Content-Length", "1000")
    refused = await asyncio.to_thread(ask, expect, size)
    assert (refused.status, refused.interim) == (401, ())
    own = (("X-Proxima-Secret", SENDER_SECRET), ("Content-Length", "2"))
    taken = await asyncio.to_thread(lambda: ask(expect, *own, body=b"{}"))
    assert (taken.status, taken.interim) == (202, (100,))


async def test_an_encoded_body_is_not_decoded(place: Place) -> None:
    """T15: nothing is ever inflated here."""
    status, document = await place.post(b"\x1f\x8b", {**SENDER, "Content-Encoding": "gzip"})
    assert (status, document["errors"][0]["code"]) == (400, "INVALID")


# --- replaying the log ----------------------------------------------------------------------------


async def test_the_log_is_replayed(place: Place) -> None:
    """Operators put what was logged at the end once more: after a number, or of a repository."""
    await place.post([pushed("v1"), pushed("v2"), pushed("v3", "shop/web")])
    status, document = await place.ask("POST", "/v1/replay", ADMIN, {"after": 1})
    assert (status, document) == (200, {"replayed": 2, "next": None, "upto": 3})
    await place.ask("POST", "/v1/replay", ADMIN, {"repository": "shop/web"})
    async with following(place) as follower:
        sent = await follower.notices(7)
    assert [each.tag for each in sent] == ["v1", "v2", "v3", "v2", "v3", "v3", "v3"]


@pytest.mark.parametrize(
    "document",
    [{}, {"after": -1}, {"after": True}, {"repository": "../x"}, {"since": 1}, {"upto": 3}],
)
async def test_a_replay_says_what(place: Place, document: dict[str, object]) -> None:
    """A request that names nothing, or wrong things, replays nothing."""
    assert (await place.ask("POST", "/v1/replay", ADMIN, document))[0] == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/parked"),
        ("POST", "/v1/parked/1/replay"),
        ("DELETE", "/v1/parked/1"),
        ("POST", "/v1/replay"),
        ("GET", "/v1/events?after=0000000000000000:0"),
        ("POST", "/v1/lease"),
    ],
)
async def test_every_route_wants_its_own_token(place: Place, method: str, path: str) -> None:
    """C5: nobody, senders, and who bears the token of another kind, are refused alike."""
    own = ADMIN if "parked" in path or "replay" in path else place.replica
    others = ({}, SENDER, {"Authorization": f"Bearer {SENDER_SECRET}"}, ADMIN, place.replica)
    answers = [await place.ask(method, path, headers) for headers in others if headers is not own]
    assert {status for status, _ in answers} == {401}
    assert len({json.dumps(document) for _, document in answers}) == 1


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v1/parked/x/replay", 404, "NOT_FOUND"),
        ("GET", "/notifications", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/metrics", 404, "NOT_FOUND"),
    ],
)
async def test_other_paths_are_errors_of_the_same_form(
    place: Place, method: str, path: str, status: int, code: str
) -> None:
    """Whatever isn't there is answered in the form of all other errors."""
    found, document = await place.ask(method, path, ADMIN)
    assert (found, document["errors"][0]["code"]) == (status, code)
