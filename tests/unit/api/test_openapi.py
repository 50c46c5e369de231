import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from chatserver.api.openapi import Api, document, package_version
from chatserver.api.operation import Answer, Call, Nothing, Operation
from chatserver.errors import ChatserverError
from tests.unit.api.sample import ClientMessage, Conversation, Frame, sample_api

Json = dict[str, Any]


@pytest.fixture(scope="module")
def described(handbook) -> Json:
    """The document as a client reads it."""
    return orjson.loads(orjson.dumps(handbook.document))


def operations_of(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def every_object(part: Any) -> Iterator[Json]:
    if isinstance(part, dict):
        yield part
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from every_object(each)


def resolved(document: Json, part: Json) -> Json:
    for step in part.get("$ref", "#")[2:].split("/"):
        if step:
            document = document[step]
    return document if "$ref" in part else part


def test_the_document_opens_as_openapi_does(described):
    assert described["openapi"] == "3.1.0"
    assert described["info"]["title"] == "Chatserver"
    assert described["info"]["version"] == "1.2.3"
    assert "another program" in described["info"]["description"]
    assert described["servers"] == [{"url": "/"}]
    assert described["security"] == [{"key": []}]
    assert {"openapi", "info", "servers", "security", "tags", "paths", "components"} == set(described)


def test_every_reference_leads_somewhere(described):
    references = [each["$ref"] for each in every_object(described) if "$ref" in each]

    assert len(references) > 50
    for reference in references:
        assert resolved(described, {"$ref": reference})


def test_discriminators_lead_somewhere(described):
    mappings = [each["mapping"] for each in every_object(described) if "propertyName" in each]

    assert len(mappings) == 2
    for mapping in mappings:
        for name, reference in mapping.items():
            told = resolved(described, {"$ref": reference})["properties"]["type"]
            assert told["const"] == name


def test_component_names_have_the_form_openapi_wants(described):
    names = [name for kinds in described["components"].values() for name in kinds]

    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


def test_operations_are_named_once(described):
    names = [operation["operationId"] for _, _, operation in operations_of(described)]

    assert len(names) == len(set(names)) == 11


def test_every_operation_says_what_it_is_for_and_how_it_ends(described):
    tags = {tag["name"] for tag in described["tags"]}
    for path, _, operation in operations_of(described):
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags, path
        assert any(status.startswith(("2", "101")) for status in operation["responses"]), path
        for answer in operation["responses"].values():
            assert resolved(described, answer)["description"], path


def test_every_error_of_an_operation_is_described(described):
    for operation in sample_api().operations:
        responses = described["paths"][operation.template][operation.method.lower()]["responses"]
        for kind in (*operation.all_errors, ChatserverError):
            problem = resolved(described, responses[str(kind.status)])["content"]["application/problem+json"]
            assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert problem["examples"][kind.code]["value"]["status"] == kind.status


def test_path_parameters_are_those_of_the_path(described):
    for path, _, operation in operations_of(described):
        parameters = [resolved(described, each) for each in operation.get("parameters", [])]
        named = {each["name"] for each in parameters if each["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path
        assert all(each["required"] for each in parameters if each["in"] == "path"), path


def test_examples_fit_their_models():
    tried = 0
    for operation in sample_api().operations:
        if operation.body_example is not None:
            operation.body.model_validate_json(orjson.dumps(operation.body_example), strict=True)
            tried += 1
        for answer in operation.answers:
            if answer.media_type == "application/json" and answer.example is not None:
                answer.model.model_validate_json(orjson.dumps(answer.example))
                tried += 1

    assert tried == 6


def test_examples_of_problems_have_every_member_of_the_schema(described):
    members = set(described["components"]["schemas"]["Problem"]["required"])
    examples = [
        example["value"]
        for response in described["components"]["responses"].values()
        for example in response["content"]["application/problem+json"]["examples"].values()
    ]

    assert examples
    assert all(set(example) == members for example in examples)


def test_query_parameters_tell_their_bounds(described):
    parameters = {
        each["name"]: each
        for each in described["paths"]["/api/v1/conversations"]["get"]["parameters"]
        if "name" in each
    }

    assert parameters["limit"] == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "How many at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 50, "default": 20},
    }
    # Absent is not null.
    assert parameters["cursor"]["schema"] == {"type": "string", "maxLength": 200}
    assert "Listing" not in described["components"]["schemas"]


def test_every_answer_carries_the_request_id(described):
    for _, _, operation in operations_of(described):
        if "101" not in operation["responses"]:
            assert {"$ref": "#/components/parameters/RequestId"} in operation["parameters"]
            for answer in operation["responses"].values():
                assert "X-Request-ID" in resolved(described, answer)["headers"]


def test_waiting_times_are_told_as_a_header(described):
    responses = described["components"]["responses"]

    assert "Retry-After" in responses["Full"]["headers"]
    assert "Retry-After" in responses["TooMany"]["headers"]
    assert "Retry-After" not in responses["NotFound"]["headers"]


def test_a_status_that_several_errors_share_names_each(described):
    conflict = described["paths"]["/api/v1/conversations/{id}/messages"]["post"]["responses"]["409"]

    assert set(conflict["content"]["application/problem+json"]["examples"]) == {
        "turn_in_progress",
        "key_reused",
    }
    assert "- `key_reused`: This Idempotency-Key" in conflict["description"]


def test_idempotent_operations_take_a_key(described):
    item = described["paths"]["/api/v1/conversations"]
    key = {"$ref": "#/components/parameters/IdempotencyKey"}

    assert key in item["post"]["parameters"]
    assert key not in item["get"]["parameters"]


def test_answers_of_one_status_stand_together_by_media_type(described):
    accepted = described["paths"]["/api/v1/conversations/{id}/messages"]["post"]["responses"]["202"]

    assert set(accepted["content"]) == {"application/json", "text/event-stream"}
    assert accepted["content"]["text/event-stream"]["schema"] == {"$ref": "#/components/schemas/Frame"}
    assert accepted["description"] == "Accepted.\n\nThe stream."


def test_a_stream_is_described_by_each_of_its_frames(described):
    frame = described["components"]["schemas"]["Frame"]

    assert frame["discriminator"]["propertyName"] == "type"
    assert [each["$ref"] for each in frame["oneOf"]] == [
        f"#/components/schemas/{name}" for name in ("Started", "Delta", "End")
    ]


def test_a_204_has_no_content(described):
    gone = described["paths"]["/api/v1/conversations/{id}"]["delete"]["responses"]["204"]

    assert "content" not in gone


def test_a_body_is_required_where_one_of_its_fields_is(described):
    paths = described["paths"]

    assert paths["/api/v1/conversations"]["post"]["requestBody"]["required"] is False
    assert paths["/api/v1/conversations/{id}/messages"]["post"]["requestBody"]["required"] is True


def test_bodies_that_are_read_refuse_what_they_do_not_know(described):
    assert described["components"]["schemas"]["NewMessage"]["additionalProperties"] is False
    assert "additionalProperties" not in described["components"]["schemas"]["Conversation"]


def test_paths_written_by_hand_stand_beside_the_others(described):
    assert described["paths"]["/api/v1/ws"]["get"]["operationId"] == "open_websocket"
    assert "ClientMessage" in described["components"]["schemas"]


def test_what_is_open_to_everybody_says_so_and_refuses_nobody(described):
    openapi = described["paths"]["/openapi.json"]["get"]

    assert openapi["security"] == []
    assert "401" not in openapi["responses"]
    assert "security" not in described["paths"]["/api/v1/conversations"]["get"]


async def echo(call: Call[Nothing, Nothing, Nothing]) -> Frame:
    raise NotImplementedError(call)


def test_an_api_can_be_as_small_as_one_operation():
    only = Operation(
        method="GET",
        path="/x",
        name="x",
        tag="X",
        summary="X",
        handler=echo,
        answers=(Answer(description="X.", model=Conversation),),
    )

    small = document(Api(title="Small", operations=(only,), body_timeout_s=10, models_sent=(ClientMessage,)))

    assert set(small["components"]["responses"]) == {"ChatserverError"}
    assert small["info"]["version"] == package_version()
    assert "securitySchemes" not in small["components"]
