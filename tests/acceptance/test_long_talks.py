"""A talk that is longer than what the model is shown: what was told at the beginning is known at the end."""

import random

import pytest

from loadtests.talks import FACT, make_talk
from tests.harness.client import Client, Json
from tests.harness.readers import read_whole
from tests.harness.service import Service, module_service

pytestmark = pytest.mark.asyncio(loop_scope="module")

_LENGTH = 100
_QUESTION = "What is my favourite colour?"

service = module_service({}, "--rate", "20000", "--first-token-ms", "0")


@pytest.fixture
def client(service: Service) -> Client:
    return service.client


async def test_a_fact_of_the_first_message_is_recalled_at_the_hundredth(
    client: Client, rng: random.Random
) -> None:
    conversation = await client.begin()
    talk = make_talk(rng.randrange(1_000), _LENGTH - 2, longest=250)
    questions = [said.content for said in talk if said.role == "user"]
    assert FACT in questions[0]
    first, *_ = [await _ask(client, conversation, said) for said in questions]
    last = await _ask(client, conversation, _QUESTION)
    assert "teal" in last["result"]
    # It was told so by the summary alone, and that is no more than what is shown.
    context = last["context"]
    assert first["context"]["kept"][0] not in context["kept"] + context["cut"]
    assert context["summarised"] + context["left_out"] + len(context["kept"] + context["cut"]) >= _LENGTH - 1
    assert context["summarised"] >= _LENGTH // 2
    assert context["tokens"]["total"] <= context["budget"]["total"]


async def _ask(client: Client, conversation: str, content: str) -> Json:
    """Send a turn; gives its generation when that is complete."""
    generation = (await client.send(conversation, content))["generation"]["id"]
    await read_whole(client, generation)
    found = await client.generation(generation)
    assert found["status"] == "completed"
    return found
