"""The description of the API, OpenAPI 3.1: made of the routes that are served and what is said of
each. Served at /openapi.json.
"""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from aiohttp import web

from hub.api.operation import JSON, Answer, Operation, Who
from hub.api.operations import OPERATIONS
from hub.api.others import Errors
from hub.errors import HubError
from hub.web.application import route
from hub.wire.kinds import fields_of
from hub.wire.schema import Schemas
from proxy import __version__

PATH = "/openapi.json"
_VARIABLE = re.compile(r"\{([a-z]+)(?::((?:[^{}]|\{[^{}]*\})*))?\}")
Document = dict[str, Any]

_SECURITY: Document = {
    Who.SENDER.value: {
        "type": "http",
        "scheme": "bearer",
        "description": "The secret of senders; also in the header that `receiving.header` names, or"
        " as a signature (docs/notifications.md).",
    },
    Who.REPLICA.value: {
        "type": "http",
        "scheme": "bearer",
        "description": "The join token of a replica.",
    },
    Who.OPERATOR.value: {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of operators (`admin.token_file`).",
    },
    Who.DNS_SERVER.value: {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of DNS servers (`geo.token_file`), or one of operators.",
    },
}


def described(routes: Sequence[web.RouteDef]) -> list[web.RouteDef]:
    """Give the routes and one that describes them all, itself too.

    Raises: KeyError: nothing is said about one of them.
    """
    text = b""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=text, content_type=JSON)

    everything = [*routes, route("GET", PATH, show)]
    text = json.dumps(description(everything)).encode()
    return everything


def description(routes: Iterable[web.RouteDef]) -> Document:
    """Give the document. Raises: KeyError: nothing is said about a route."""
    schemas = Schemas()
    paths: Document = {}
    for each in routes:
        path = _VARIABLE.sub(r"{\1}", each.path)
        operation = OPERATIONS[each.method, path]
        patterns = dict(_VARIABLE.findall(each.path))
        paths.setdefault(path, {})[each.method.lower()] = _operation(operation, patterns, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "proxima hub",
            "version": __version__,
            "description": "The hub beside a primary registry: notifications come in, replicas"
            " follow, operators look and act. Times are seconds since 1970.",
        },
        "paths": paths,
        "components": {"schemas": schemas.components, "securitySchemes": _SECURITY},
    }


def _operation(operation: Operation, patterns: dict[str, str], schemas: Schemas) -> Document:
    document: Document = {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [
            *_path_parameters(operation, patterns),
            *_query_parameters(operation, schemas),
        ],
        "responses": _responses(operation, schemas),
        "security": [] if operation.who is Who.ANYBODY else [{operation.who.value: []}],
    }
    if operation.body is not None:
        form = operation.body.form
        media: Document = {"example": operation.body.example}
        media["schema"] = {} if form is None else schemas.of(form)
        document["requestBody"] = {"required": True, "content": {JSON: media}}
    return document


def _path_parameters(operation: Operation, patterns: dict[str, str]) -> Iterable[Document]:
    for name, pattern in patterns.items():
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "pattern": f"^{pattern}$"},
            "example": operation.path[name],
        }


def _query_parameters(operation: Operation, schemas: Schemas) -> Iterable[Document]:
    if operation.query is None:
        return
    for name, field in fields_of(operation.query).items():
        kind = field.kind
        schema = schemas.of_kind(type(kind)(kind.base, kind.limits))
        parameter: Document = {
            "name": name,
            "in": "query",
            "required": field.is_required,
            "schema": schema,
        }
        if name in operation.query_example:
            example: object = operation.query_example[name]
            parameter["example"] = float(str(example)) if kind.base is float else example
        yield parameter


def _responses(operation: Operation, schemas: Schemas) -> Document:
    responses = {str(each.status): _answer(each, schemas) for each in operation.answers}
    by_status: dict[int, list[type[HubError]]] = {}
    for error in operation.all_errors():
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        content = {JSON: {"schema": schemas.of(Errors)}}
        responses[str(status)] = {"description": _codes(errors), "content": content}
    return responses


def _answer(answer: Answer, schemas: Schemas) -> Document:
    if answer.form is not None:
        media: Document = {"schema": schemas.of(answer.form)}
        if answer.example is not None:
            media["example"] = answer.example
        return {"description": answer.about, "content": {answer.media_type: media}}
    if answer.status != 200:
        return {"description": answer.about}
    return {"description": answer.about, "content": {answer.media_type: {}}}


def _codes(errors: Iterable[type[HubError]]) -> str:
    lines = (f"{each.code}: {' '.join((each.__doc__ or '').split())}" for each in errors)
    return " ".join(lines)
