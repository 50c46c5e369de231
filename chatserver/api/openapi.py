"""The API's description of itself as an OpenAPI 3.1 document, made from the operations that serve it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as version_of_package
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from chatserver.api.operation import Answer, Operation
from chatserver.api.problems import MEDIA_TYPE
from chatserver.errors import ChatserverError, Unauthenticated
from chatserver.wire.problems import problem_members

Json = dict[str, Any]
Kind = type[ChatserverError]
Mode = Literal["validation", "serialization"]
#: By model and mode, `{"$ref": …}`.
References = dict[tuple[type[BaseModel], Mode], Json]

REQUEST_ID_PARAMETER = {"$ref": "#/components/parameters/RequestId"}
_REQUEST_ID = {"$ref": "#/components/headers/RequestId"}
_SAMPLE_ID = "2f1c9be0a4d84c7e9d1b7a3c5e6f8091"


def package_version() -> str:
    try:
        return version_of_package("chatserver")
    except PackageNotFoundError:
        return "unknown"


class Problem(BaseModel):
    """What went wrong (RFC 9457).

    Facts stand beside these members: `field` where one is at fault, `retry_after` in seconds, `limit`.
    """

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Where this kind of problem is explained.")
    title: str
    status: int
    code: str = Field(description="The name of the problem, for programs.")
    detail: str = Field(description="One sentence for people.")
    request_id: str = Field(description="The server's log tells more under this id.")


@dataclass(frozen=True, kw_only=True)
class Api:
    """Everything that is said about the API as a whole."""

    title: str
    operations: tuple[Operation[Any, Any, Any], ...]
    #: Seconds in which a request's body has to be here.
    body_timeout_s: float
    description: str = ""
    version: str = field(default_factory=package_version)
    #: Names and what they are about, in the order they are shown; a transport may be told here in prose.
    tags: Mapping[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = ("/",)
    #: By name, as OpenAPI writes them; `security` names those any of which lets a caller in.
    security_schemes: Mapping[str, Json] = field(default_factory=dict)
    security: tuple[str, ...] = ()
    #: The errors any operation may answer with.
    errors_everywhere: tuple[Kind, ...] = ()
    #: Path items written by hand, and the models they refer to by "#/components/schemas/<name>".
    paths: Mapping[str, Json] = field(default_factory=dict)
    models_received: tuple[type[BaseModel], ...] = ()
    models_sent: tuple[type[BaseModel], ...] = ()


def document(api: Api) -> Json:
    """Write the whole document down."""
    return _Writer(api).document()


class _Writer:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.references, self.schemas = _schemas(api)

    def document(self) -> Json:
        api = self.api
        components: Json = {
            "schemas": self._kept_schemas(),
            "responses": {kind.__name__: _refusal([kind]) for kind in self._errors},
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
        }
        if api.security_schemes:
            components["securitySchemes"] = dict(api.security_schemes)
        return {
            "openapi": "3.1.0",
            "info": {"title": api.title, "version": api.version, "description": api.description},
            "servers": [{"url": url} for url in api.servers],
            "security": [{name: []} for name in api.security],
            "tags": [{"name": name, "description": text} for name, text in api.tags.items()],
            "paths": self._paths(),
            "components": components,
        }

    @cached_property
    def _errors(self) -> tuple[Kind, ...]:
        of_operations = [kind for operation in self.api.operations for kind in operation.all_errors]
        return tuple(dict.fromkeys([*of_operations, *self.api.errors_everywhere, ChatserverError]))

    def _kept_schemas(self) -> Json:
        # Queries and paths are told as parameters, each by its own schema.
        as_parameters = {
            self._name(model, "validation")
            for operation in self.api.operations
            for model in (operation.path_model, operation.query)
            if model
        }
        return {name: schema for name, schema in self.schemas.items() if name not in as_parameters}

    def _name(self, model: type[BaseModel], mode: Mode) -> str:
        return str(self.references[model, mode]["$ref"]).rpartition("/")[2]

    def _paths(self) -> Json:
        paths: Json = {}
        for operation in self.api.operations:
            paths.setdefault(operation.template, {})[operation.method.lower()] = self._operation(operation)
        for path, item in self.api.paths.items():
            paths.setdefault(path, {}).update(item)
        return paths

    def _operation(self, operation: Operation[Any, Any, Any]) -> Json:
        described: Json = {
            "operationId": operation.name,
            "tags": [operation.tag],
            "summary": operation.summary,
            "parameters": self._parameters(operation),
            "responses": self._responses(operation),
        }
        if operation.description:
            described["description"] = operation.description
        if operation.body:
            described["requestBody"] = self._request_body(operation, operation.body)
        if operation.security is not None:
            described["security"] = [{name: []} for name in operation.security]
        return described

    def _parameters(self, operation: Operation[Any, Any, Any]) -> list[Json]:
        parameters: list[Json] = []
        for place, model in (("path", operation.path_model), ("query", operation.query)):
            if model:
                schema = self.schemas[self._name(model, "validation")]
                required = schema.get("required", [])
                parameters += [
                    _parameter(name, place, property_, required=name in required)
                    for name, property_ in schema["properties"].items()
                ]
        if operation.idempotent:
            parameters.append({"$ref": "#/components/parameters/IdempotencyKey"})
        if operation.resumable:
            parameters.append({"$ref": "#/components/parameters/LastEventId"})
        if operation.tagged:
            condition = "IfNoneMatch" if operation.method == "GET" else "IfMatch"
            parameters.append({"$ref": f"#/components/parameters/{condition}"})
        return [*parameters, REQUEST_ID_PARAMETER]

    def _request_body(self, operation: Operation[Any, Any, Any], model: type[BaseModel]) -> Json:
        content: Json = {"schema": self.references[model, "validation"]}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        return {
            "description": f"At most {operation.body_limit:,} bytes, within {self.api.body_timeout_s:g} s.",
            "required": any(each.is_required() for each in model.model_fields.values()),
            "content": {"application/json": content},
        }

    def _responses(self, operation: Operation[Any, Any, Any]) -> Json:
        responses: Json = {}
        for answer in operation.answers:
            self._add_answer(responses, answer)
        if operation.tagged:
            _add_tags(operation, responses)
        by_status: dict[int, list[Kind]] = {}
        for kind in self._refusals(operation):
            by_status.setdefault(kind.status, []).append(kind)
        for status, same in sorted(by_status.items()):
            responses[str(status)] = _shared_refusal(same) if len(same) == 1 else _refusal(same)
        return responses

    def _refusals(self, operation: Operation[Any, Any, Any]) -> Iterable[Kind]:
        usual = self.api.errors_everywhere
        if operation.security == ():
            usual = tuple(kind for kind in usual if not issubclass(kind, Unauthenticated))
        return dict.fromkeys([*operation.all_errors, *usual, ChatserverError])

    def _add_answer(self, responses: Json, answer: Answer) -> None:
        response = responses.setdefault(
            str(answer.status), {"description": answer.description, "headers": {"X-Request-ID": _REQUEST_ID}}
        )
        if answer.description not in response["description"]:
            response["description"] += "\n\n" + answer.description
        if answer.status in {204, 304}:
            return
        content: Json = {"schema": {} if answer.media_type == "application/json" else {"type": "string"}}
        if answer.model:
            content["schema"] = self.references[answer.model, "serialization"]
        if answer.example is not None:
            content["example"] = answer.example
        response.setdefault("content", {})[answer.media_type] = content


def _add_tags(operation: Operation[Any, Any, Any], responses: Json) -> None:
    answered = responses[str(operation.answers[0].status)]
    answered["headers"]["ETag"] = {"$ref": "#/components/headers/ETag"}
    if operation.method == "GET":
        responses["304"] = {
            "description": "It is as the ETag in `If-None-Match` says.",
            "headers": answered["headers"],
        }


def _schemas(api: Api) -> tuple[References, Json]:
    """Collect every model with the ones it uses: a reference to each, and the schemas by name."""
    inputs: list[type[BaseModel] | None] = [*api.models_received]
    outputs: list[type[BaseModel] | None] = [Problem, *api.models_sent]
    for operation in api.operations:
        inputs += [operation.path_model, operation.query, operation.body]
        outputs += [answer.model for answer in operation.answers]
    return _generated(
        (
            *((model, "validation") for model in dict.fromkeys(inputs) if model),
            *((model, "serialization") for model in dict.fromkeys(outputs) if model),
        )
    )


# Most of what a document costs, and the same for every application of these models.
@lru_cache(maxsize=4)
def _generated(wanted: tuple[tuple[type[BaseModel], Mode], ...]) -> tuple[References, Json]:
    references, definitions = models_json_schema(
        wanted, ref_template="#/components/schemas/{model}", schema_generator=_Untitled
    )
    return dict(references), definitions["$defs"]  # type: ignore[arg-type]


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles pydantic makes of field names: they say nothing that the names don't."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def _parameter(name: str, place: str, schema: Json, *, required: bool) -> Json:
    schema = dict(schema)
    # An absent parameter isn't null: what is left says what may be written.
    if schema.get("default", ...) is None:
        del schema["default"]
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema |= choices[0]
    parameter: Json = {"name": name, "in": place, "required": required}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    return {**parameter, "schema": schema}


def _shared_refusal(kinds: list[Kind]) -> Json:
    return {"$ref": f"#/components/responses/{kinds[0].__name__}"}


def _refusal(kinds: list[Kind]) -> Json:
    """Describe what is answered under one status: each error with its sentence and an example."""
    headers = {"X-Request-ID": _REQUEST_ID}
    if any(kind.status in {429, 503} for kind in kinds):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    return {
        "description": "\n".join(f"- `{kind.code}`: {_sentence(kind)}" for kind in kinds),
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {
                    kind.code: {"value": problem_members(kind, _sentence(kind), _SAMPLE_ID)} for kind in kinds
                },
            }
        },
    }


def _sentence(kind: Kind) -> str:
    return (kind.__doc__ or "").split("\n", 1)[0]


_HEADERS: Json = {
    "RequestId": {
        "description": "The id of this call: the caller's own if it sent one.",
        "schema": {"type": "string"},
    },
    "RetryAfter": {
        "description": "Seconds after which another try is worth it.",
        "schema": {"type": "integer", "minimum": 0},
    },
    "ETag": {
        "description": "The number of the newest change, for `If-None-Match` and `If-Match`.",
        "schema": {"type": "string"},
    },
}
_PARAMETERS: Json = {
    "RequestId": {
        "name": "X-Request-ID",
        "in": "header",
        "required": False,
        "description": "An id of your own for this call, of at most 128 letters, digits and `._:=+/-`. "
        "Any other is passed over, and the call gets an id of ours.",
        "schema": {"type": "string"},
    },
    "LastEventId": {
        "name": "Last-Event-ID",
        "in": "header",
        "required": False,
        "description": "The position of the last event seen, as an EventSource sends it. Wins over `after`.",
        "schema": {"type": "string"},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "For 24 hours the same key and body do the work once and give the same answer.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
    },
    "IfNoneMatch": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of what you have: where it is still so, that is all that is said.",
        "schema": {"type": "string"},
    },
    "IfMatch": {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "The ETag of what you have seen: where anything has changed since, nothing is done.",
        "schema": {"type": "string"},
    },
}
