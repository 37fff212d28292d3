"""What can be said of settings by trying them: addresses, challenge, realm."""

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from config import Settings
from proxy.app.network import Network, open_network
from proxy.net.session import Answer, Outgoing
from proxy.oci.challenge import OPEN, Challenge, Scheme
from proxy.oci.errors import RegistryError, UntrustedOrigin
from proxy.registry.clock import SystemClock
from proxy.registry.realm import challenge_of


@dataclass(slots=True)
class ProbeReport:
    """What was found, as sentences."""

    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


async def probe(settings: Settings) -> ProbeReport:
    """Try each address of the primary and look at the challenge that it gives."""
    report = ProbeReport()
    async with AsyncExitStack() as stack:
        network = open_network(settings, "proxima-check", SystemClock().now, stack)
        try:
            addresses = await network.link.addresses()
        except RegistryError as exc:
            report.problems.append(f"primary.url: {exc.message}")
            return report
        for address in addresses:
            await _try(report, network, address)
    return report


async def _try(report: ProbeReport, network: Network, address: tuple[str, int]) -> None:
    where = f"{network.link.origin} at {address[0]}:{address[1]}"
    try:
        answer = await network.session.send(
            network.link.origin,
            Outgoing("GET", "/v2/", {"Via": network.via}),
            address=address,
        )
        await answer.drop()
    except RegistryError as exc:
        report.problems.append(f"{where}: {exc.message} ({exc.__cause__})")
        return
    if answer.status not in (200, 401):
        report.problems.append(f"{where} is no registry: /v2/ gives status {answer.status}")
        return
    if answer.status == 200 and answer.header("Content-Type").lower().startswith("text/html"):
        report.problems.append(f"{where} is no registry: /v2/ gives a page for people")
        return
    challenge = _challenge(answer)
    if challenge is None:
        report.problems.append(f"{where}: its challenge can't be understood")
        return
    report.lines.append(f"{where} answers; it authenticates: {challenge.scheme}")
    _check_realm(report, network, challenge)


def _challenge(answer: Answer) -> Challenge | None:
    return OPEN if answer.status == 200 else challenge_of(answer)


def _check_realm(report: ProbeReport, network: Network, challenge: Challenge) -> None:
    if challenge.scheme is not Scheme.BEARER:
        return
    try:
        origin = network.realms.place(challenge.realm)
    except UntrustedOrigin as exc:
        report.problems.append(exc.message)
        return
    where = "over the private link" if origin is None else f"at {origin}, which is trusted"
    report.lines.append(f"tokens of {challenge.realm} are asked for {where}")
