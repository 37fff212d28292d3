"""A wire form as JSON Schema (2020-12, as OpenAPI 3.1 uses it)."""

from enum import StrEnum
from typing import Any

from hub.wire.kinds import Kind, fields_of
from hub.wire.limits import MAX_NUMBER

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/"


class Schemas:
    """The schemas of forms, each once under its name; `components` gathers them."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, form: type[Any]) -> Schema:
        """Give a reference to the schema of a wire form."""
        name = form.__name__
        if name not in self.components:
            self.components[name] = {}  # a form that holds itself finds its own name
            self.components[name] = self._object(form)
        return {"$ref": f"{REFERENCE}{name}"}

    def of_kind(self, kind: Kind) -> Schema:
        """Give the schema of a value."""
        schema = self.of(kind.base) if kind.is_object else _scalar(kind)
        if kind.is_list:
            schema = {"type": "array", "items": schema, "maxItems": kind.limits.max_items}
        if kind.is_map:
            schema = {"type": "object", "additionalProperties": schema}
        return {"anyOf": [schema, {"type": "null"}]} if kind.is_nullable else schema

    def _object(self, form: type[Any]) -> Schema:
        known = fields_of(form)
        schema: Schema = {
            "type": "object",
            "properties": {name: self.of_kind(field.kind) for name, field in known.items()},
        }
        if form.__doc__:
            schema["description"] = " ".join(form.__doc__.split())
        required = [name for name, field in known.items() if field.is_required]
        return schema | ({"required": required} if required else {})


def _scalar(kind: Kind) -> Schema:
    base, limits = kind.base, kind.limits
    about: Schema = {"description": limits.about} if limits.about else {}
    if base is Any:
        return about
    if base is bool:
        return {"type": "boolean", **about}
    if base in (int, float):
        bounds: Schema = {"minimum": limits.minimum}
        if limits.maximum != MAX_NUMBER:
            bounds["maximum"] = limits.maximum
        return {"type": "integer" if base is int else "number", **bounds, **about}
    if issubclass(base, StrEnum):
        return {"type": "string", "enum": [each.value for each in base], **about}
    text: Schema = {"type": "string", **about}
    if limits.pattern:
        text["pattern"] = limits.pattern
    return text if limits.is_cleaned else {**text, "maxLength": limits.max_characters}
