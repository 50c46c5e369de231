from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from chatserver.errors import ChatserverError, Full, GapInLog, Invalid, TooMany, TurnInProgress
from chatserver.wire.problems import UNEXPECTED, every_error, invalid, problem_facts


class Circle(BaseModel):
    type: Literal["circle"]
    radius: Annotated[float, Field(gt=0)]


class Square(BaseModel):
    type: Literal["square"]
    side: int | Literal["unit"]


SHAPE: TypeAdapter[Circle | Square] = TypeAdapter(Annotated[Circle | Square, Field(discriminator="type")])


def complaint(given: object) -> Invalid:
    with pytest.raises(ValidationError) as raised:
        SHAPE.validate_python(given)
    return invalid(raised.value, given)


def test_the_facts_of_an_error_are_those_of_a_problem_document() -> None:
    assert problem_facts(TurnInProgress("gen_1"), "req_1") == {
        "type": "/docs/errors#turn_in_progress",
        "title": "Conflict",
        "status": 409,
        "code": "turn_in_progress",
        "detail": "An answer is still being made there; wait for its end or cancel it.",
        "request_id": "req_1",
        "generation": "gen_1",
    }


def test_what_is_worth_another_try_says_when() -> None:
    assert problem_facts(Full(), "")["retry_after"] == 5
    assert problem_facts(TooMany(retry_after=2.5, limit=7), "")["limit"] == 7


@pytest.mark.parametrize("error", [ValueError("a secret"), GapInLog(3, 5), ChatserverError("a secret")])
def test_errors_of_our_own_are_not_explained_to_clients(error) -> None:
    facts = problem_facts(error, "req_1")
    assert (facts["status"], facts["code"], facts["detail"]) == (500, "internal_error", UNEXPECTED)
    assert "secret" not in str(facts)


def test_a_fact_never_stands_in_for_a_member() -> None:
    facts = problem_facts(Invalid("Wrong.", status=200, field="a"), "")
    assert (facts["status"], facts["field"]) == (422, "a")


def test_every_error_has_a_sentence_a_title_and_a_code_that_tells_it_apart() -> None:
    told = [kind for kind in every_error() if kind.code != ChatserverError.code]
    assert all((kind.__doc__ or "").split("\n", 1)[0].endswith(".") for kind in every_error())
    assert all(kind.title and 400 <= kind.status < 600 for kind in told)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"type": "circle", "radius": -1}, "radius"),
        ({"type": "square", "side": "long"}, "side"),
        ({"type": "circle"}, "radius"),
        ({"type": "oval"}, "type"),
        ({"radius": 1}, "type"),
        ([1], None),
    ],
)
def test_only_steps_that_were_sent_or_are_missing_name_a_field(given, field) -> None:
    assert complaint(given).facts.get("field") == field


def test_a_wrong_kind_is_told_with_those_there_are_and_without_what_was_sent() -> None:
    assert complaint({"type": "oval"}).detail == "type should be one of 'circle', 'square'."
    assert complaint({}).detail == "type is required."
