"""What the hub's API answers instead of what was asked for: a status, a code, and words.

The form is the distribution spec's, the codes are ours. As with a replica, the message is for the
client and the cause (`raise ... from exc`) for the log.
"""

import json
from collections.abc import Mapping

from proxy.oci.errors import RegistryError


class HubError(RegistryError):
    """Answered as `{"errors": [{"code", "message", "detail"}]}`."""

    code = "INTERNAL"

    def __init__(
        self,
        message: str = "",
        *,
        detail: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, headers=headers)
        self.detail = dict(detail or {})

    def body(self) -> bytes:
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.detail:
            error["detail"] = self.detail
        return json.dumps({"errors": [error]}).encode()


class Invalid(HubError):
    """The request doesn't say what is needed, or not in a way that can be read."""

    status = 400
    code = "INVALID"
    default_message = "the request can't be understood"


class Unauthorized(HubError):
    """Nothing was shown that proves who asks, or nothing that counts."""

    status = 401
    code = "UNAUTHORIZED"
    default_message = "authentication required"

    def __init__(self, message: str = "") -> None:
        super().__init__(message, headers={"WWW-Authenticate": 'Bearer realm="proxima hub"'})


class Denied(HubError):
    """Who asks is known, and may not."""

    status = 403
    code = "DENIED"
    default_message = "not allowed"


class NotFound(HubError):
    """There is no such thing here."""

    status = 404
    code = "NOT_FOUND"
    default_message = "there is no such thing here"


class NotAllowed(HubError):
    """The path is known, the method isn't."""

    status = 405
    code = "METHOD_NOT_ALLOWED"
    default_message = "not with this method"


class Conflict(HubError):
    """What there is doesn't allow it."""

    status = 409
    code = "CONFLICT"
    default_message = "not as things are"


class CursorGone(HubError):
    """What follows a cursor can't be told: the log is another one, or began later."""

    status = 410
    code = "CURSOR_GONE"
    default_message = "the log doesn't go on from there"


class TooLarge(HubError):
    """The body is longer than allowed."""

    status = 413
    code = "TOO_LARGE"
    default_message = "the body is too large"


class Unavailable(HubError):
    """It can't be done now: the disk, the load, the end of this process."""

    status = 503
    code = "UNAVAILABLE"
    default_message = "not now"

    def __init__(self, message: str = "", retry_after_seconds: int = 1) -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after_seconds)})
