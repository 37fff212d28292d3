"""The description of the API: valid OpenAPI 3.1, and what it says is what is answered."""

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from hub.api import examples
from hub.api.operation import Operation, Who
from hub.api.operations import OPERATIONS
from tests.hub.api import OPERATOR, Api, serving_hub
from tests.hub.geo.catalogues import catalogue_file
from tests.hub.place import SENDER_SECRET

# A stream has no end, and what is deleted isn't there for the others.
ASKED_ALONE = {"events"}
FILE = Path(__file__).parents[2] / "docs" / "hub-openapi.json"
LAST = ("deleteReplica", "deletePrimary")


@pytest.fixture
async def served(tmp_path):
    """A hub with a catalogue of regions."""
    path = str(catalogue_file(tmp_path))
    async with serving_hub(tmp_path, geo__catalogue=path) as both:
        yield both


@pytest.fixture
async def document(api):
    """The description, which everybody may read."""
    reply = await api.ask("GET", "/openapi.json", token=None)
    return reply.expect(200).document


def validator_of(document, schema) -> OAS31Validator:
    """Give what checks values against a schema of the description."""
    return OAS31Validator({**schema, "components": document["components"]})


def test_the_version_is_the_one_we_write():
    """A validator for OpenAPI 3.1 finds fault with what isn't (so it looks)."""
    assert list(OpenAPIV31SpecValidator({"openapi": "3.1.0", "info": {}}).iter_errors())


async def test_it_is_valid(document):
    """C5: the description is valid OpenAPI 3.1, and says for every route who may ask."""
    assert document["openapi"] == "3.1.0"
    assert not [str(each) for each in OpenAPIV31SpecValidator(document).iter_errors()]
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(OPERATIONS)
    names = {each["operationId"] for each in operations}
    assert len(names) == len(operations)
    for each in operations:
        assert each["security"] or each["operationId"] == "description"
        assert ("401" in each["responses"]) is bool(each["security"])


async def test_the_file_in_docs_is_what_is_served(document):
    """docs/hub-openapi.json is the description as it is now (PROXIMA_WRITE_DOCS=1 writes it)."""
    text = json.dumps(document, indent=2) + "\n"
    if os.environ.get("PROXIMA_WRITE_DOCS"):
        FILE.write_text(text)
    assert FILE.read_text() == text


async def test_its_examples_keep_to_its_schemas(document):
    """Every example in the description is what the schema beside it says."""
    number = 0
    for path in document["paths"].values():
        for operation in path.values():
            media = [operation.get("requestBody", {}), *operation["responses"].values()]
            for each in media:
                for content in each.get("content", {}).values():
                    if "example" in content:
                        number += 1
                        validator_of(document, content["schema"]).validate(content["example"])
            for parameter in operation["parameters"]:
                if "example" in parameter:
                    number += 1
                    example = parameter["example"]
                    validator_of(document, parameter["schema"]).validate(example)
    assert number > 30


async def test_its_examples_are_answered_as_it_says(document, api):
    """Each example request gets an answer that is described, of the schema it names."""
    await prepare(api)
    in_order = sorted(OPERATIONS.items(), key=lambda pair: pair[1].name in LAST)
    succeeded = set()
    for (method, path), operation in in_order:
        if operation.name in ASKED_ALONE:
            continue
        reply = await ask(api, method, path, operation)
        described = document["paths"][path][method.lower()]["responses"][str(reply.status)]
        content = described.get("content", {}).get("application/json")
        assert (content is None) is (reply.text == ""), (operation.name, reply.status, reply.text)
        if content is not None:
            schema = content.get("schema", {})
            errors = validator_of(document, schema).iter_errors(reply.document)
            assert not [each.message for each in errors], operation.name
        if reply.status < 300:
            succeeded.add(operation.name)
    # There is no parked notification, and there is a replica already.
    failed = {each.name for each in OPERATIONS.values()} - succeeded - ASKED_ALONE
    assert failed == {"replayParked", "removeParked", "createReplica", "deletePrimary"}


async def test_a_replica_is_made_as_described(document, api):
    """The answer to a creation is what the description says, and no more."""
    reply = await api.ask("POST", "/v1/replicas", {"region": examples.REGION})
    schema = document["components"]["schemas"]["Created"]
    assert reply.expect(201).document.keys() == schema["properties"].keys()
    assert reply.document["id"] == examples.REPLICA
    assert reply.headers["Cache-Control"] == "no-store"


async def prepare(api: Api) -> None:
    """Make what the examples name: the replica, its report, the event."""
    await api.create(examples.REGION)
    api.tokens["epoch"] = (
        await api.ask("GET", "/v1/self", token=api.tokens[examples.REGION])
    ).document["epoch"]
    await api.report({**examples.ENTRY}, region=examples.REGION)
    await api.notify(examples.NOTIFICATION)


async def ask(api: Api, method: str, path: str, operation: Operation):
    """Send the example request of an operation, with the epoch that the log has."""
    token = {
        Who.OPERATOR: OPERATOR,
        Who.DNS_SERVER: OPERATOR,
        Who.SENDER: SENDER_SECRET,
        Who.REPLICA: api.tokens[examples.REGION],
        Who.ANYBODY: None,
    }[operation.who]
    for name, value in operation.path.items():
        path = path.replace(f"{{{name}}}", value)
    if operation.query_example:
        pairs = operation.query_example.items()
        path += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs)
    body = json.dumps(operation.body.example) if operation.body else None
    if body is not None:
        body = body.replace(f"{examples.EPOCH}:1712", f"{api.tokens['epoch']}:1")
    data = None if body is None else body.encode()
    headers = {"Content-Type": "application/json"} if data else None
    return await api.ask(method, path, token=token, data=data, headers=headers)
