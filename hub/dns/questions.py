"""Questions to a DNS server, as a resolver asks them for its clients. The door of dnspython.

All of it blocks. An answer that can't be had is told apart from one that isn't good.
"""

import socket
from dataclasses import dataclass
from enum import StrEnum

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from geo.catalogue import Address, Network

TIMEOUT_SECONDS = 2.0
TRIES = 2
PAYLOAD_BYTES = 1232


class Status(StrEnum):
    """How a server answered."""

    ANSWERED = "answered"
    NO_DATA = "no data"
    NO_NAME = "no such name"
    REFUSED = "refused"
    FAILED = "server failure"
    OTHER = "another error"
    UNREACHABLE = "unreachable"
    SILENT = "no answer"
    GARBAGE = "no DNS message"


HAS_CONTENT = frozenset({Status.ANSWERED, Status.NO_DATA})
IS_ABSENT = frozenset({Status.UNREACHABLE, Status.SILENT, Status.GARBAGE})

_BY_CODE = {
    dns.rcode.NXDOMAIN: Status.NO_NAME,
    dns.rcode.REFUSED: Status.REFUSED,
    dns.rcode.SERVFAIL: Status.FAILED,
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. scope: for how many bits of the client's address it holds; None: not said.

    values: of the records asked for, as zone files write them, in the server's order.
    """

    status: Status
    values: tuple[str, ...] = ()
    ttl_seconds: int | None = None
    scope: int | None = None
    is_authoritative: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Server:
    """A DNS server."""

    address: Address
    port: int = 53
    timeout_seconds: float = TIMEOUT_SECONDS

    def ask(self, name: str, kind: str, client: Network | None = None) -> Reply:
        """Ask, on behalf of *client* if one is given; over TCP where the answer is cut."""
        options: list[dns.edns.Option] = []
        if client is not None:
            options = [dns.edns.ECSOption(str(client.network_address), client.prefixlen)]
        query = dns.message.make_query(
            name, kind, use_edns=0, payload=PAYLOAD_BYTES, options=options, flags=0
        )
        reply = Reply(Status.SILENT)
        for _ in range(TRIES):
            reply = self._send(query)
            if reply.status is not Status.SILENT:
                break
        return reply

    def _send(self, query: dns.message.QueryMessage) -> Reply:
        try:
            with self._connected() as connection:
                message, _ = dns.query.udp_with_fallback(
                    query,
                    str(self.address),
                    self.timeout_seconds,
                    self.port,
                    ignore_trailing=True,
                    udp_sock=connection,
                )
        except dns.exception.Timeout:
            return Reply(Status.SILENT)
        except OSError as exc:
            return Reply(Status.UNREACHABLE, detail=exc.strerror or repr(exc))
        except (dns.exception.DNSException, EOFError, ValueError) as exc:
            return Reply(Status.GARBAGE, detail=repr(exc))
        return _reply_of(query, message)

    def _connected(self) -> socket.socket:
        """Give a socket that is told if nothing listens there. Raises: OSError."""
        family = socket.AF_INET if self.address.version == 4 else socket.AF_INET6
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)  # noqa: FBT003  # the socket's own signature
            opened.connect((str(self.address), self.port))
        except OSError:
            opened.close()
            raise
        return opened


def _reply_of(query: dns.message.Message, message: dns.message.Message) -> Reply:
    is_authoritative = bool(message.flags & dns.flags.AA)
    code = message.rcode()
    if code != dns.rcode.NOERROR:
        status = _BY_CODE.get(code, Status.OTHER)
        return Reply(status, is_authoritative=is_authoritative, detail=dns.rcode.to_text(code))
    records = _records(query.question[0], message)
    return Reply(
        Status.ANSWERED if records else Status.NO_DATA,
        tuple(record.to_text() for record in records or ()),
        records.ttl if records else None,
        _scope(message),
        is_authoritative,
    )


def _records(question: dns.rrset.RRset, message: dns.message.Message) -> dns.rrset.RRset | None:
    """Give the records that were asked for, if there are any."""
    for each in message.answer:
        if each.name == question.name and each.rdtype == question.rdtype:
            return each
    return None


def _scope(message: dns.message.Message) -> int | None:
    for option in message.options:
        if isinstance(option, dns.edns.ECSOption):
            return option.scopelen
    return None
