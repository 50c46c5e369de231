import pytest

from chatserver.upstream.simulator.answers.schema import instance_of

NODE = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}, "required": ["next"]}
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 6}, "text.."),
        ({"type": "string", "maxLength": 2}, "te"),
        ({"type": "string", "format": "date"}, "2026-01-15"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "integer", "exclusiveMinimum": 3}, 4),
        ({"type": "integer", "minimum": 7, "multipleOf": 5}, 10),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "minimum": 0.5}, 0.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 0),
        ({"const": 7}, 7),
        ({"enum": ["b", "a"]}, "b"),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 0),
        ({"type": "array", "items": {"type": "integer"}}, []),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [0, 0]),
        ({"prefixItems": [{"const": 1}, {"const": 2}], "type": "array"}, [1, 2]),
        ({"properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 0}),
        ({"type": "object"}, {}),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}], "required": ["b"]},
            {"a": 1, "b": "text"},
        ),
        (
            {
                "type": "object",
                "properties": {"k": {"$ref": "#/$defs/K"}},
                "required": ["k"],
                "$defs": {"K": {"enum": [5]}},
            },
            {"k": 5},
        ),
    ],
)
def test_the_instance_is_valid_and_minimal(schema: dict, value: object) -> None:
    assert instance_of(schema) == value


def test_a_schema_that_holds_itself_ends_somewhere() -> None:
    assert "next" in instance_of(NODE)


def test_a_reference_to_itself_ends_too() -> None:
    assert instance_of({"$ref": "#"}) == "text"
