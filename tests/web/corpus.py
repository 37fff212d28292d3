"""Requests that can be read in two ways, or that a registry proxy has no business with."""

from collections.abc import Mapping

HOST = "127.0.0.1"
PULL = "/v2/team/app/manifests/v1"
BLOB = "/v2/team/app/blobs/sha256:" + 64 * "a"
CHUNK = "2\r\n{}\r\n"
LAST_CHUNK = "0\r\n\r\n"


def wire(
    method: str = "GET",
    target: str = PULL,
    version: str = "HTTP/1.1",
    fields: str = "",
    body: str = "",
) -> bytes:
    """Give a request; *fields* are complete lines, characters are bytes."""
    head = f"{method} {target} {version}\r\nHost: {HOST}\r\n{fields}\r\n"
    return (head + body).encode("latin-1")


def _put(fields: str, body: str = "") -> bytes:
    return wire("PUT", fields=fields, body=body)


def _chunked(body: str) -> bytes:
    return _put("Transfer-Encoding: chunked\r\n", body)


_TARGETS = {
    "absolute form": wire(target=f"http://evil.test{PULL}"),
    "absolute form, our name": wire(target=f"http://{HOST}{PULL}"),
    "absolute form, https": wire(target=f"https://{HOST}{PULL}"),
    "a fragment": wire(target=f"{PULL}#x"),
    "a space in the target": wire(target=f"{PULL} x"),
    "a tab in the target": wire(target="/v2/team/\tapp/manifests/v1"),
    "Latin-1 in the target": wire(target="/v2/team/\xff/manifests/v1"),
    "UTF-8 in the target": wire(target="/v2/team/\xc3\xa9/manifests/v1"),
    "a target without end": wire(target="/v2/" + 20_000 * "a"),
}
_VERSIONS = {
    "HTTP/2.0": wire(version="HTTP/2.0"),
    "HTTP/0.9": wire(version="HTTP/0.9"),
    "HTTP/1.2": wire(version="HTTP/1.2"),
    "HTTP/1.10": wire(version="HTTP/1.10"),
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS on the plain port": bytes.fromhex("16030100a5010000a1"),
}
_METHODS = {
    method: wire(method, target)
    for method, target in {
        "CONNECT": "evil.test:443",
        "TRACE": PULL,
        "OPTIONS": "*",
        "PROPFIND": PULL,
        "BREW": PULL,
        "get": PULL,
    }.items()
}
_CODINGS = {
    "gzip, chunked": _put("Transfer-Encoding: gzip, chunked\r\n", LAST_CHUNK),
    "gzip": _put("Transfer-Encoding: gzip\r\n"),
    "identity": _put("Transfer-Encoding: identity\r\n"),
    "chunked twice": _put(2 * "Transfer-Encoding: chunked\r\n", LAST_CHUNK),
    "identity, then chunked": _put(
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", LAST_CHUNK
    ),
    "chunked, then identity": _put(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", LAST_CHUNK
    ),
    "vertical tab before chunked": _put("Transfer-Encoding: \x0bchunked\r\n", LAST_CHUNK),
    "a space before the colon": _put("Transfer-Encoding : chunked\r\n", LAST_CHUNK),
    "chunked in HTTP/1.0": wire(
        "PUT", version="HTTP/1.0", fields="Transfer-Encoding: chunked\r\n", body=LAST_CHUNK
    ),
}
_LENGTHS = {
    "length and coding": _put("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", LAST_CHUNK),
    "coding and length": _put("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", LAST_CHUNK),
    "two lengths": _put("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
    "one length twice": _put(2 * "Content-Length: 5\r\n", "hello"),
    **{
        f"length {value!r}": _put(f"Content-Length: {value}\r\n", "hello")
        for value in ("5, 5", "+5", "-5", "0x5", "1_0", "5 5", "", 30 * "9")
    },
}
_BODIES = {
    "GET with a body": wire(fields="Content-Length: 5\r\n", body="hello"),
    "GET in chunks": wire(fields="Transfer-Encoding: chunked\r\n", body=CHUNK + LAST_CHUNK),
    "GET in no chunks": wire(fields="Transfer-Encoding: chunked\r\n", body=LAST_CHUNK),
    "HEAD with a body": wire("HEAD", fields="Content-Length: 5\r\n", body="hello"),
    "DELETE with a body": wire("DELETE", fields="Content-Length: 5\r\n", body="hello"),
}
_CHUNKS = {
    "a bare LF in a chunk extension": _chunked("2;\nxx\r\n{}\r\n" + LAST_CHUNK),
    "a chunk of negative size": _chunked("-2\r\n{}\r\n" + LAST_CHUNK),
    "chunks with bare LF": _chunked("2\n{}\n0\n\n"),
    "a chunk longer than it says": _chunked("2\r\n{}XX" + LAST_CHUNK),
    "a chunk of size 0x2": _chunked("0x2\r\n{}\r\n" + LAST_CHUNK),
}
_FIELDS = {
    "two Authorization": wire(fields="Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
    "two Range": wire(target=BLOB, fields="Range: bytes=0-1\r\nRange: bytes=2-3\r\n"),
    "two Content-Type": _put(
        "Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 2\r\n", "{}"
    ),
    "two Host": wire(fields=f"Host: {HOST}\r\n"),
    "no Host": f"GET {PULL} HTTP/1.1\r\n\r\n".encode(),
    "a folded line": wire(fields="X-A: b\r\n c\r\n"),
    "NUL": wire(fields="X-A: b\0c\r\n"),
    "a bare CR": wire(fields="X-A: b\rc\r\n"),
    "bare LF everywhere": wire().replace(b"\r\n", b"\n"),
    "a bare LF": wire(fields="X-A: b\nX-B: c\r\n"),
    "a space in a name": wire(fields="X A: b\r\n"),
    "no colon": wire(fields="X-A\r\n"),
    "no name": wire(fields=": b\r\n"),
    "a control character in a name": wire(fields="X\x01A: b\r\n"),
    "a header without end": wire(fields=f"X-A: {70_000 * 'a'}\r\n"),
    "headers without end": wire(fields="".join(f"X-{i}: a\r\n" for i in range(500))),
    "an upgrade": wire(fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "an upgrade to HTTP/2": wire(
        fields="Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    ),
    "an unknown expectation": _put("Expect: 200-ok\r\nContent-Length: 2\r\n", "{}"),
}

REFUSED: Mapping[str, bytes] = {
    **_TARGETS,
    **_VERSIONS,
    **_METHODS,
    **_CODINGS,
    **_LENGTHS,
    **_BODIES,
    **_CHUNKS,
    **_FIELDS,
}
"""What is answered with 400, whoever asks."""

HIDDEN_PATH = "/v2/hidden/app/manifests/v1"
_HIDDEN = wire(target=HIDDEN_PATH).decode("latin-1")
_AFTER_CHUNKS = LAST_CHUNK + _HIDDEN
_WHOLE = f"Content-Length: {len(_AFTER_CHUNKS)}\r\n"

HIDING: Mapping[str, bytes] = {
    **{
        f"coding {coding!r}": _put(f"{_WHOLE}{coding}\r\n", _AFTER_CHUNKS)
        for coding in (
            "Transfer-Encoding: chunked",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding:\tchunked",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding:\r\n chunked",
            "Transfer-Encoding: x\nTransfer-Encoding: chunked",
            "Transfer_Encoding: chunked",
            "X: y\rTransfer-Encoding: chunked",
        )
    },
    "coding first": _put(f"Transfer-Encoding: chunked\r\n{_WHOLE}", _AFTER_CHUNKS),
    "lengths 0 and all": _put(f"Content-Length: 0\r\n{_WHOLE}", _AFTER_CHUNKS),
    "lengths all and 0": _put(f"{_WHOLE}Content-Length: 0\r\n", _AFTER_CHUNKS),
    "length with a sign": _put(_WHOLE.replace(": ", ": +"), _AFTER_CHUNKS),
    "the body of a GET": wire(fields=f"Content-Length: {len(_HIDDEN)}\r\n", body=_HIDDEN),
    "the body of a DELETE": wire(
        "DELETE", fields=f"Content-Length: {len(_HIDDEN)}\r\n", body=_HIDDEN
    ),
    "the body of an upgrade": wire(
        fields=f"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: {len(_HIDDEN)}\r\n",
        body=_HIDDEN,
    ),
    "a chunk extension": _chunked(f"5;\nxx\r\nhello\r\n{len(_HIDDEN):x}\r\n{_HIDDEN}\r\n0\r\n\r\n"),
    "a chunk without CRLF": _chunked(f"2\r\n{{}}{_HIDDEN}{LAST_CHUNK}"),
    "HTTP/1.0 in chunks": wire(
        "PUT",
        version="HTTP/1.0",
        fields="Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n",
        body=f"{len(_HIDDEN):x}\r\n{_HIDDEN}\r\n{LAST_CHUNK}",
    ),
}
"""Messages that carry a whole request for `HIDDEN_PATH` inside, in one of their readings."""
