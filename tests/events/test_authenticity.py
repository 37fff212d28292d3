"""Whether a notification comes from whom it should."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest

from proxy.events import authenticity
from proxy.events.authenticity import Authenticity, Headers, NotAuthentic, Signed

SECRET, NEXT = "6f1ed002ab5595859014ebf0951522d9", "b9d1cd04f4a94a8d9c8d2b4d7b1f6a03"
NOW, WINDOW_SECONDS = 1_700_000_000, 300.0
BODY = b'{"events": []}'


@pytest.fixture
def gate() -> Authenticity:
    """Two secrets, five minutes."""
    return Authenticity([SECRET, NEXT], "X-Proxima-Secret", WINDOW_SECONDS)


def signature(body: bytes = BODY, timestamp: str = str(NOW), secret: str = SECRET) -> str:
    text = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def basic(login: str) -> str:
    return f"Basic {base64.b64encode(login.encode()).decode()}"


def signed(timestamp: str = str(NOW), value: str | None = None) -> Headers:
    value = f"sha256={signature(timestamp=timestamp)}" if value is None else value
    return (("X-Proxima-Timestamp", timestamp), ("X-Proxima-Signature", value))


def check(gate: Authenticity, headers: Headers, body: bytes = BODY, now: float = NOW) -> None:
    found = gate.check_headers(headers, now)
    if found is not None:
        gate.check_body(found, body, now)


@pytest.mark.parametrize(
    "headers",
    [
        (("x-proxima-secret", SECRET),),
        (("X-PROXIMA-SECRET", f" {NEXT} "),),
        (("Authorization", f"Bearer {SECRET}"),),
        (("authorization", f"bearer {NEXT}"),),
        (("Authorization", SECRET),),
        (("Authorization", basic(f"proxima:{NEXT}")),),
        (("Authorization", basic(f":{SECRET}")),),
        (("X-Proxima-Secret", SECRET), ("Authorization", "Basic Zm9v")),
        signed(),
        signed(value=f"sha256={signature(secret=NEXT)}"),
        signed(str(NOW - 300)),
        signed(str(NOW + 300)),
    ],
)
def test_what_proves_it(gate: Authenticity, headers: Headers) -> None:
    """Either secret counts, shown or signing, up to the very end of the window."""
    check(gate, headers)


MUTATIONS: dict[str, tuple[Headers, bytes]] = {
    "one byte of the body": (signed(), b'{"events": [ }'),
    "one byte more": (signed(), BODY + b"\n"),
    "an empty body": (signed(), b""),
    "another timestamp": ((("X-Proxima-Timestamp", str(NOW + 1)), signed()[1]), BODY),
    "one digit of the signature": (signed(value=f"sha256={'0' * 64}"), BODY),
    "upper case": (signed(value=f"sha256={signature().upper()}"), BODY),
    "no scheme": (signed(value=signature()), BODY),
    "another scheme": (signed(value=f"sha1={signature()[:40]}"), BODY),
    "a newline": (signed(value=f"sha256={signature()}\n"), BODY),
    "another secret": (signed(value=f"sha256={signature(secret='guess')}"), BODY),
    "too old": (signed(str(NOW - 301)), BODY),
    "too new": (signed(str(NOW + 301)), BODY),
    "a float for a time": (signed(f"{NOW}.0"), BODY),
    "another script's digits": (signed("\uff11\uff17" + 8 * "\uff10"), BODY),
    "no timestamp": (signed()[1:], BODY),
    "no signature": (signed()[:1], BODY),
    "two signatures": ((*signed(), signed()[1]), BODY),
    "two timestamps": ((*signed(), signed()[0]), BODY),
}


@pytest.mark.parametrize(("headers", "body"), MUTATIONS.values(), ids=MUTATIONS)
def test_a_mutation_proves_nothing(gate: Authenticity, headers: Headers, body: bytes) -> None:
    """C18: whatever is changed of a valid call, it is refused; the call itself still counts."""
    with pytest.raises(NotAuthentic):
        check(gate, headers, body)
    check(gate, signed())


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("X-Proxima-Secret", ""),),
        (("X-Proxima-Secret", SECRET[:-1]),),
        (("X-Proxima-Secret", f"{SECRET}{SECRET}"),),
        (("X-Proxima-Secret", "\udcff"),),
        (("X-Proxima-Secret", SECRET), ("x-proxima-secret", SECRET)),
        (("X-Proxima-Secret", "guess"), ("Authorization", f"Bearer {SECRET}")),
        (("Authorization", ""),),
        (("Authorization", SECRET[1:]),),
        (("Authorization", f"Basic {SECRET}"),),
        (("Authorization", "Basic !"),),
        (("Authorization", "Basic /w=="),),
        (("Authorization", basic(f"{SECRET}:")),),
        (("Authorization", basic(SECRET)),),
        (("Authorization", basic(f"proxima:{SECRET}:")),),
        (("Authorization", f"Digest {SECRET}"),),
        (("Authorization", "Bearer"),),
        (("Authorization", f"Bearer {SECRET}"), ("Authorization", f"Bearer {SECRET}")),
        (("X-Proxima-Signature", ""), ("X-Proxima-Secret", SECRET)),
    ],
)
def test_what_proves_nothing(gate: Authenticity, headers: Headers) -> None:
    """C18: nothing, a part, a repetition, another scheme, and a secret beside a bad signature."""
    with pytest.raises(NotAuthentic):
        check(gate, headers)


def test_a_signature_counts_once(gate: Authenticity) -> None:
    """C18: a replay is refused for as long as the clock of its sender may let it seem young."""
    check(gate, signed(str(NOW + 300)))
    for later in (0, 300, 600):
        with pytest.raises(NotAuthentic, match="came before"):
            check(gate, signed(str(NOW + 300)), now=NOW + later)


def test_what_could_not_be_done_may_come_again(gate: Authenticity) -> None:
    """A signature that was given back counts once more."""
    found = gate.check_headers(signed(), NOW)
    assert isinstance(found, Signed)
    gate.check_body(found, BODY, NOW)
    gate.give_back(found)
    check(gate, signed())


def test_memory_of_signatures_is_bounded(
    gate: Authenticity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond what can be remembered nothing counts, until the oldest are past their time."""
    monkeypatch.setattr(authenticity, "MAX_SIGNATURES", 3)
    for number in range(3):
        check(gate, signed(str(NOW + number)))
    with pytest.raises(NotAuthentic):
        check(gate, signed(str(NOW + 3)))
    check(gate, signed(str(NOW + 601)), now=NOW + 601)


def test_comparisons_take_the_same_time(
    gate: Authenticity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T18: `hmac.compare_digest` alone compares, a secret shown or signing, with every secret."""
    compared: list[object] = []
    real: Callable[..., bool] = hmac.compare_digest

    def counted(one: object, other: object) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr(authenticity.hmac, "compare_digest", counted)
    check(gate, (("X-Proxima-Secret", SECRET),))
    check(gate, signed())
    assert len(compared) == 4
