"""A client of a hub's API, for the verbs of operators: one request at a time."""

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from proxy.net.hub_place import require_secrecy

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 << 20


class HubRefused(Exception):
    """The hub answered something else than what was asked for.

    code: for programs, empty if the answer isn't of the API's form; detail: depends on it.
    """

    def __init__(self, status: int, code: str = "", message: str = "", detail: Any = None) -> None:
        told = f"{status} {code}: {message}" if code else str(status)
        super().__init__(f"the hub answered {told}")
        self.status = status
        self.code = code
        self.detail: dict[str, Any] = detail if isinstance(detail, dict) else {}


class HubClient:
    """A connection to a hub, with a token of operators."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        """Raises: ValueError: not an https URL, nor an http one of this machine; OSError: the
        certificates.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url}: expected a URL like https://hub.internal:8443")
        require_secrecy(url, parts.scheme, parts.hostname)
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self._connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.hostname, parts.port or 443, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(
                parts.hostname, parts.port or 80, timeout=TIMEOUT_SECONDS
            )
        self._token = token

    def ask(
        self, method: str, target: str, document: object = None, *, extra_seconds: float = 0.0
    ) -> Any:
        """Give the document of an answer; None where it has none.

        extra_seconds: time that the hub may take on purpose.

        Raises: HubRefused: with what the hub says. OSError: it doesn't answer.
        """
        body = None if document is None else json.dumps(document)
        headers = {"Authorization": f"Bearer {self._token}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            self._connection.timeout = TIMEOUT_SECONDS + extra_seconds
            if self._connection.sock is not None:
                self._connection.sock.settimeout(self._connection.timeout)
            self._connection.request(method, target, body, headers)
            answer = self._connection.getresponse()
            text = answer.read(MAX_ANSWER_BYTES)
        except http.client.HTTPException as exc:
            self._connection.close()
            raise OSError(f"the hub's answer isn't HTTP: {exc!r}") from exc
        except OSError:
            self._connection.close()
            raise
        if answer.status >= 300:
            raise _refused(answer.status, text)
        try:
            return json.loads(text) if text else None
        except ValueError as exc:
            raise OSError("the hub's answer isn't JSON") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()


def token_in(path: Path) -> str:
    """Give the token of a file. Raises: OSError, ValueError: there is none."""
    token = path.read_text(encoding="utf-8").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise ValueError(f"{path}: expected a token")
    return token


def _refused(status: int, text: bytes) -> HubRefused:
    try:
        error = json.loads(text)["errors"][0]
        return HubRefused(
            status, _plain(error["code"]), _plain(error["message"]), error.get("detail")
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return HubRefused(status)


def _plain(text: object) -> str:
    """Give a text that changes nothing of a terminal."""
    return "".join(each if each.isprintable() else "?" for each in str(text))
