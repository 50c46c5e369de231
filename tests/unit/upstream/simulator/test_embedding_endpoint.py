"""What /api/embed does over real HTTP."""

import math

import httpx
import pytest

from chatserver.upstream.simulator.faults import Fault
from chatserver.upstream.simulator.vocabulary import load_vocabulary


async def embed(simulated, text: object, **body) -> httpx.Response:
    return await simulated.http.post("/api/embed", json={"model": "sim-embed", "input": text, **body})


async def test_a_text_gives_one_vector_of_length_one(simulated) -> None:
    answer = (await embed(simulated, "Hello there")).json()
    [vector] = answer["embeddings"]
    assert math.isclose(sum(value * value for value in vector), 1)
    assert answer["prompt_eval_count"] == load_vocabulary().count("Hello there")
    assert answer.keys() == {"model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"}


async def test_a_list_gives_a_vector_for_each_text(simulated) -> None:
    one, two = (await embed(simulated, ["red apples", "green pears"])).json()["embeddings"]
    assert [one] == (await embed(simulated, "red apples")).json()["embeddings"]
    assert one != two


async def test_vectors_can_be_shortened(simulated) -> None:
    [vector] = (await embed(simulated, "Hello there", dimensions=32)).json()["embeddings"]
    assert len(vector) == 32
    assert math.isclose(sum(value * value for value in vector), 1)


async def test_nothing_to_embed_only_loads(simulated) -> None:
    for nothing in ("", []):
        assert (await embed(simulated, nothing)).json() == {"model": "sim-embed", "embeddings": []}
    assert (await simulated.stats())["loads"] == 1


async def test_a_long_text_is_cut_or_refused(simulated) -> None:
    long = "many words " * 2_000
    assert (await embed(simulated, long)).json()["prompt_eval_count"] == 2_048
    refused = await embed(simulated, long, truncate=False)
    assert (refused.status_code, refused.json()) == (
        400,
        {"error": "the input length exceeds the context length"},
    )


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"model": "nope"}, 404, 'model "nope" not found, try pulling it first'),
        ({"model": ""}, 400, "model is required"),
    ],
)
async def test_what_can_not_be_done_is_refused(simulated, body: dict, status: int, sentence: str) -> None:
    answer = await embed(simulated, "Hi", **body)
    assert (answer.status_code, answer.json()) == (status, {"error": sentence})


async def test_input_must_be_text(simulated) -> None:
    assert (await embed(simulated, 5)).status_code == 400


async def test_the_older_endpoint_gives_a_single_vector(simulated) -> None:
    body = {"model": "sim-embed", "prompt": "red apples"}
    answer = (await simulated.http.post("/api/embeddings", json=body)).json()
    assert [answer["embedding"]] == (await embed(simulated, "red apples")).json()["embeddings"]


async def test_it_fails_with_the_server(start) -> None:
    simulated = await start(faults=(Fault("status-500"),))
    assert (await embed(simulated, "Hi")).status_code == 500
