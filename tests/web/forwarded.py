"""Whom X-Forwarded-For names: what peers say, and whom a request comes from by it."""

from ipaddress import ip_network

TRUSTED = tuple(map(ip_network, ("10.0.0.0/8", "192.0.2.1/32", "2001:db8:ffff::/48")))
PROXY = "10.0.0.1"
STRANGER = "198.51.100.7"
CLIENT = "203.0.113.9"
CLIENT6 = "2001:db8::9"

# peer, lines of X-Forwarded-For, who it comes from
TABLE = (
    # an untrusted peer speaks for itself, whatever it says
    (STRANGER, [], STRANGER),
    (STRANGER, [CLIENT], STRANGER),
    (STRANGER, ["10.0.0.2"], STRANGER),
    (STRANGER, [f"{CLIENT}, {PROXY}"], STRANGER),
    (CLIENT6, [CLIENT], CLIENT6),
    # a trusted one is asked
    (PROXY, [], PROXY),
    (PROXY, [CLIENT], CLIENT),
    (PROXY, [f" {CLIENT} "], CLIENT),
    ("192.0.2.1", [CLIENT], CLIENT),
    ("192.0.2.2", [CLIENT], "192.0.2.2"),
    ("2001:db8:ffff::1", [CLIENT6], CLIENT6),
    # what the client wrote itself stands further left and doesn't count
    (PROXY, [f"{STRANGER}, {CLIENT}"], CLIENT),
    (PROXY, [f"10.0.0.9, {CLIENT}"], CLIENT),
    (PROXY, [f"junk, {CLIENT}"], CLIENT),
    # several proxies, several lines
    (PROXY, [f"{CLIENT}, 10.0.0.2"], CLIENT),
    (PROXY, [f"{CLIENT}, 10.0.0.2, 192.0.2.1"], CLIENT),
    (PROXY, [CLIENT, "10.0.0.2"], CLIENT),
    (PROXY, [STRANGER, f"{CLIENT}, 10.0.0.2"], CLIENT),
    (PROXY, ["10.0.0.2, 10.0.0.3"], "10.0.0.2"),
    # the forms that proxies write
    (PROXY, [f"{CLIENT}:4711"], CLIENT),
    (PROXY, [CLIENT6], CLIENT6),
    (PROXY, [f"[{CLIENT6}]"], CLIENT6),
    (PROXY, [f"[{CLIENT6}]:4711"], CLIENT6),
    (PROXY, [f"::ffff:{CLIENT}"], CLIENT),
    (PROXY, [f"{CLIENT}, ::ffff:10.0.0.2"], CLIENT),
    (f"::ffff:{PROXY}", [CLIENT], CLIENT),
    (PROXY, ["2001:DB8:0::9"], CLIENT6),
    # a list that can't be read is worth nothing
    (PROXY, [""], PROXY),
    (PROXY, [f"{CLIENT},"], PROXY),
    (PROXY, ["unknown"], PROXY),
    (PROXY, ["_hidden"], PROXY),
    (PROXY, ["203.0.113.999"], PROXY),
    (PROXY, [f"{CLIENT}:port"], PROXY),
    (PROXY, [f"{CLIENT} {STRANGER}"], PROXY),
    (PROXY, [f"{CLIENT}, junk, 10.0.0.2"], PROXY),
    (PROXY, [f'"{CLIENT}"'], PROXY),
    (PROXY, ['fe80::1%"}'], PROXY),
    (PROXY, [f"{CLIENT}\udcff"], PROXY),
    (PROXY, ["3405803785"], PROXY),
    ("", [CLIENT], ""),
)
