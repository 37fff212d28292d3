"""Requests read and answers written in wire forms."""

from typing import Any, TypeVar

from aiohttp import web

from hub.errors import Invalid
from hub.wire.kinds import fields_of, made
from hub.wire.reading import read_text
from hub.wire.writing import plain

T = TypeVar("T")


def read_query_as(form: type[T], request: web.Request) -> T:
    """Give what the query of a request says. Raises: Invalid: an unknown name, or one twice."""
    known = fields_of(form)
    values: dict[str, Any] = {}
    for name, text in request.query.items():
        if name not in known:
            raise Invalid(f"the query knows no {name[:40]!r}; known: {', '.join(known)}")
        if name in values:
            raise Invalid(f"{name} stands twice in the query")
        values[name] = read_text(known[name].kind, text, name)
    for name, field in known.items():
        if field.is_required and name not in values:
            raise Invalid(f"{name}: expected in the query")
    return made(form, values)


def answer(form: object, status: int = 200) -> web.Response:
    """Give the answer that says what a wire form says."""
    return web.json_response(plain(form), status=status)
