"""The line on which each key and list item of a TOML document stands.

`tomllib` says nothing of positions, and the parsers that do are one-person forks of it. So it reads
the document, and this walks over the tokens of what it found to be sound; anything else it may
misplace, but never raises for.
"""

import re
import tomllib
from collections.abc import Mapping

Path = tuple[str | int, ...]
_TOKEN = re.compile(
    r"""
      (?P<long>   \"{3} (?:\\.|[^\\])*? \"{3,5} | '{3} .*? '{3,5} )
    | (?P<short>  "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<skip>   \#[^\n]* | [ \t\r]+ )
    | (?P<mark>   [\n\[\]{},=.] )
    | (?P<bare>   [^\s\[\]{},=.\#"']+ | . )
    """,
    re.VERBOSE | re.DOTALL,
)
_END = ("", 0)


def lines_of(text: str) -> Mapping[Path, int]:
    """Give the line, from 1, of each path: keys, and places in lists."""
    return _Walk(text).lines


class _Walk:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._tokens = _tokens(text)
        self._at = 0
        table: Path = ()
        while self._next() is not _END:
            if self._next()[0] == "\n":
                self._at += 1
            elif self._next()[0] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _next(self) -> tuple[str, int]:
        return self._tokens[self._at] if self._at < len(self._tokens) else _END

    def _take(self, marks: str) -> None:
        while (token := self._next()[0]) and token in marks:
            self._at += 1

    def _header(self) -> Path:
        self._take("[")
        path = self._key(())
        self._take("]")
        return path

    def _pair(self, table: Path) -> None:
        path = self._key(table)
        self._take("=")
        self._value(path)

    def _key(self, table: Path) -> Path:
        path = table
        while (token := self._next()) is not _END and token[0] not in "\n[]{},=":
            if token[0] != ".":
                path = (*path, _plain(token[0]))
                self.lines.setdefault(path, token[1])
            self._at += 1
        return path

    def _value(self, path: Path) -> None:
        mark = self._next()[0]
        if mark == "[":
            self._list(path)
        elif mark == "{":
            self._inline(path)
        else:
            while (token := self._next()) is not _END and token[0] not in "\n]},":
                self._at += 1

    def _list(self, path: Path) -> None:
        self._at += 1
        index = 0
        while (token := self._next()) is not _END and token[0] != "]":
            if token[0] in "\n,":
                self._at += 1
                continue
            before = self._at
            self.lines[*path, index] = token[1]
            self._value((*path, index))
            index += 1
            self._at = max(self._at, before + 1)
        self._at += 1

    def _inline(self, path: Path) -> None:
        self._at += 1
        while (token := self._next()) is not _END and token[0] != "}":
            before = self._at
            self._take("\n,")
            self._pair(path)
            self._at = max(self._at, before + 1)
        self._at += 1


def _tokens(text: str) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    line = 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "skip":
            found.append((match.group(), line))
        line += match.group().count("\n")
    return found


def _plain(token: str) -> str:
    """Give what a key says, without quotes."""
    if token[0] not in "\"'":
        return token
    try:
        plain: str = tomllib.loads(f"key = {token}")["key"]
    except tomllib.TOMLDecodeError:
        return token
    return plain
