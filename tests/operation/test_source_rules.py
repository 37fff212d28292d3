"""Rules of the source that no run could show: one door for clients, no paths from URLs, no asserts.

Each rule is a function from a syntax tree to the lines that break it, and is tried on a sample.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("proxy", "config", "hub") for path in (PROJECT / folder).rglob("*.py")
)
THE_DOOR = "proxy/net/session.py"

Rule = Callable[[ast.AST], Iterator[ast.AST]]


def _called(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    """Give the calls of functions and methods with these names, whatever they are called on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _last_name(node.func) in names:
            yield node


def _last_name(node: ast.AST) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return ""


def client_sessions(tree: ast.AST) -> Iterator[ast.AST]:
    """Whoever opens a session of his own goes around the check of origins and addresses."""
    yield from _called(tree, "ClientSession", "TCPConnector", "UnixConnector", "urlopen")


def static_files(tree: ast.AST) -> Iterator[ast.AST]:
    """CVE-2024-23334: no path in a URL becomes a path on disk."""
    yield from _called(tree, "add_static", "static", "FileResponse")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "FileResponse":
            yield node


def parsed_forms(tree: ast.AST) -> Iterator[ast.AST]:
    """CVE-2025-69228: aiohttp's readers of forms and whole bodies aren't used on requests."""
    for call in _called(tree, "post", "multipart", "json", "text", "read"):
        owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
        if re.fullmatch(r"(.*\.)?request(\.content)?", owner):
            yield call


def assertions(tree: ast.AST) -> Iterator[ast.AST]:
    """CVE-2025-69227: `python -O` removes asserts, so none decides anything."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            yield node


def unanchored_patterns(tree: ast.AST) -> Iterator[ast.AST]:
    """`$` lets a trailing newline in: patterns are matched in full instead."""
    for call in _called(tree, "compile", "match", "search", "fullmatch"):
        yield from (node for node, text in _texts(call) if text.endswith("$"))


def _texts(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Give the text and bytes literals with what they say."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text):
                yield node, text
            case ast.Constant(value=bytes() as data):
                yield node, data.decode("latin-1")


def copied_headers(tree: ast.AST) -> Iterator[ast.AST]:
    """T9: headers that go on are named one by one, never copied and then thinned out."""
    for node in ast.walk(tree):
        match node:
            case ast.Dict(keys=keys, values=values):
                unpacked = [value for key, value in zip(keys, values, strict=True) if key is None]
            case ast.Call(args=args) if _last_name(node.func) in ("dict", "CIMultiDict", "update"):
                unpacked = args
            case ast.Call(func=ast.Attribute(attr="copy", value=copied)):
                unpacked = [copied]
            case _:
                continue
        if any(_is_headers_of_a_request(value) for value in unpacked):
            yield node


def _is_headers_of_a_request(node: ast.AST) -> bool:
    return re.fullmatch(r"(.*\.)?request\.headers", ast.unparse(node)) is not None


def loose_digits(tree: ast.AST) -> Iterator[ast.AST]:
    r"""`\d` takes digits of every script: patterns name `[0-9]`."""
    yield from (node for node, text in _texts(tree) if re.search(r"(?<!\\)\\d", text))


RULES: dict[Rule, tuple[str, ...]] = {
    client_sessions: (
        "aiohttp.ClientSession()",
        "TCPConnector(limit=1)",
        "urllib.request.urlopen(x)",
    ),
    static_files: ("router.add_static('/', x)", "web.FileResponse(x)", "x = web.FileResponse"),
    parsed_forms: (
        "await request.post()",
        "await exchange.request.multipart()",
        "await request.content.read()",
        "await request.json()",
    ),
    assertions: ("assert x",),
    unanchored_patterns: ("re.match('x$', y)", "P = re.compile(rb'x$')"),
    copied_headers: (
        "x = {**request.headers}",
        "dict(exchange.request.headers)",
        "request.headers.copy()",
        "headers.update(request.headers)",
    ),
    loose_digits: (r"re.compile(r'\d+')",),
}
EXEMPT = {
    (client_sessions, THE_DOOR),
    (copied_headers, THE_DOOR),  # of a request of ours, whose headers were named before
    (loose_digits, "config/sources.py"),  # names of variables that Kubernetes makes
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule: Rule):
    """No line of replica or hub breaks the rule, but for the one door to the client."""
    found = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"  # type: ignore[attr-defined]
        for path in SOURCES
        if (rule, str(path.relative_to(PROJECT))) not in EXEMPT
        for node in rule(ast.parse(path.read_bytes()))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("rule", "sample"), [(rule, sample) for rule, samples in RULES.items() for sample in samples]
)
def test_the_rule_finds_what_it_is_for(rule: Rule, sample: str):
    """A rule that found nothing anywhere would prove nothing."""
    assert list(rule(ast.parse(f"async def f():\n    {sample}\n")))


def test_the_door_is_where_it_is_said_to_be():
    """Exactly one module opens a session, once."""
    tree = ast.parse((PROJECT / THE_DOOR).read_bytes())
    assert [_last_name(call.func) for call in _called(tree, "ClientSession")] == ["ClientSession"]
    assert [_last_name(call.func) for call in _called(tree, "TCPConnector")] == ["TCPConnector"]
    assert len(SOURCES) > 80
