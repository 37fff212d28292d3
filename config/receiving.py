"""Settings of who receives notifications: the hub, or a replica without one."""

from dataclasses import dataclass
from pathlib import Path

from config.declare import optional, setting
from config.declare import secret as secret_text
from config.kinds import duration, integer, path, size, text
from config.values import ByteSize, Duration, Secret

_HEADER = text(r"[A-Za-z0-9-]{1,64}", "header name", "X-Proxima-Secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivingSettings:
    """Notifications: who may send them, and what is done with those that aren't understood."""

    secret_file: Path | None = optional(
        path(), "File with the secret that senders present or sign with."
    )
    secret: Secret | None = secret_text("The secret, instead of `secret_file`.")
    next_secret_file: Path | None = optional(
        path(), "File with a second secret that counts as well, for the time of a rotation."
    )
    next_secret: Secret | None = secret_text("The second secret, instead of `next_secret_file`.")
    header: str = setting(_HEADER, "X-Proxima-Secret", "Header in which the secret may come.")
    signature_window: Duration = setting(
        duration("10s", "1h"), "5m", "Time for which a signed notification counts, and once."
    )
    max_body: ByteSize = setting(size("1KiB", "16MiB"), "1MiB", "Largest notification.")
    max_parked: int = setting(
        integer(1, 1_000_000), 1_000, "Notifications kept that weren't understood; the oldest go."
    )
    max_parked_size: ByteSize = setting(size("1MiB", "16GiB"), "64MiB", "Size of all of them.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HubReceivingSettings(ReceivingSettings):
    """Notifications: who may send them, and what is done with those that aren't understood."""

    secret_file: Path | None = optional(
        path(), "File with the secret that senders present or sign with.", reload=True
    )
    next_secret_file: Path | None = optional(
        path(),
        "File with a second secret that counts as well, for the time of a rotation.",
        reload=True,
    )
