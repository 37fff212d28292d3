"""A client of a hub's API, for the verbs of operators: one request at a time."""

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 << 20


class HubRefused(Exception):
    """The hub answered something else than what was asked for."""


class HubClient:
    """A connection to a hub, with a token of operators."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        """Raises: ValueError: not an http or https URL; OSError: the certificates."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
            raise ValueError(f"{url}: expected a URL like https://hub.internal:8443")
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

    def ask(self, method: str, target: str, document: object = None) -> Any:
        """Give the document of an answer; None where it has none.

        Raises: HubRefused: with what the hub says. OSError: it doesn't answer.
        """
        body = None if document is None else json.dumps(document)
        try:
            self._connection.request(
                method, target, body, {"Authorization": f"Bearer {self._token}"}
            )
            answer = self._connection.getresponse()
            text = answer.read(MAX_ANSWER_BYTES)
        except http.client.HTTPException as exc:
            raise OSError(f"the hub's answer isn't HTTP: {exc!r}") from exc
        if answer.status >= 300:
            raise HubRefused(_message(answer.status, text))
        return json.loads(text) if text else None

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


def _message(status: int, text: bytes) -> str:
    try:
        error = json.loads(text)["errors"][0]
        return f"the hub answered {status} {error['code']}: {error['message']}"
    except (ValueError, LookupError, TypeError):
        return f"the hub answered {status}"
