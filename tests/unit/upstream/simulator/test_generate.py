"""What /api/generate does over real HTTP."""

import httpx
import pytest

from chatserver.upstream.simulator.vocabulary import load_vocabulary
from tests.unit.upstream.simulator.client import Simulated, lines


async def generate(simulated: Simulated, prompt: str, **body) -> httpx.Response:
    return await simulated.http.post("/api/generate", json={"model": "sim-chat", "prompt": prompt, **body})


def response(answer: httpx.Response) -> str:
    return "".join(line["response"] for line in lines(answer))


async def test_an_answer_streams_as_lines_with_a_response(simulated) -> None:
    answer = await generate(simulated, "How do I bake bread?")
    *tokens, done = lines(answer)
    assert all(list(line) == ["model", "created_at", "response", "done"] for line in tokens)
    assert (done["done"], done["done_reason"], done["response"]) == (True, "stop", "")
    assert response(answer) == await simulated.say("How do I bake bread?")


async def test_the_context_carries_the_conversation_on(simulated) -> None:
    first = lines(await generate(simulated, "My name is Ana."))[-1]
    said = load_vocabulary().decode(first["context"])
    assert said.startswith("<|im_start|>user\nMy name is Ana.")
    assert "Ana" in response(await generate(simulated, "What is my name?", context=first["context"]))


async def test_a_system_prompt_is_heeded(simulated) -> None:
    answer = await generate(simulated, "What is my name?", system="The user's name is Ana.")
    assert "Ana" in response(answer)


async def test_thinking_has_its_own_field(simulated) -> None:
    first = lines(await generate(simulated, "Hi", model="sim-think"))[0]
    assert (first["response"], bool(first["thinking"])) == ("", True)


async def test_one_json_without_streaming(simulated) -> None:
    [whole] = lines(await generate(simulated, "[[tokens=9]]", stream=False))
    assert (whole["done"], whole["eval_count"]) == (True, 9)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"model": "sim-embed"}, 400, '"sim-embed" does not support generate'),
        ({"model": "nope"}, 404, "model 'nope' not found"),
        ({"model": ""}, 400, "model is required"),
        ({"suffix": "x"}, 400, "registry.ollama.ai/library/sim-chat:latest does not support insert"),
        ({"raw": True, "system": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"context": [10**9]}, 400, "invalid token in context"),
        ({"context": [-1]}, 400, "invalid token in context"),
    ],
)
async def test_what_can_not_be_done_is_refused(simulated, body: dict, status: int, sentence: str) -> None:
    answer = await generate(simulated, "Hi", **body)
    assert (answer.status_code, answer.json()) == (status, {"error": sentence})


async def test_raw_text_without_a_template_counts_as_it_is(simulated) -> None:
    done = lines(await generate(simulated, "Hello there", raw=True))[-1]
    assert done["prompt_eval_count"] == load_vocabulary().count("Hello there")


async def test_an_empty_prompt_only_loads(simulated) -> None:
    [loaded] = lines(await generate(simulated, ""))
    assert (loaded["response"], loaded["done"], loaded["done_reason"]) == ("", True, "load")
    [unloaded] = lines(await generate(simulated, "", keep_alive=0))
    assert unloaded["done_reason"] == "unload"
