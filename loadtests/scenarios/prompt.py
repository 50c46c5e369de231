"""Is a prompt built at once, however long its conversation is?

Prompts of conversations of 50, 500 and 5,000 messages are built again and again, for a simple, a moderate and
a complex question: reading the branch, counting what isn't counted yet, choosing what the model is shown.
"""  # noqa: D400 - it is a question

import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from chatserver.app.assembling import assemble
from chatserver.app.parts import Parts
from chatserver.engine.prompts import Prompts
from chatserver.generation.ids import CONVERSATION, GENERATION, MESSAGE, new_id
from chatserver.generation.principal import Principal
from chatserver.generation.states import Lane
from chatserver.settings import load
from chatserver.storage.conversations import CreateConversation
from chatserver.storage.messages import Messages
from chatserver.storage.records import Counted, Generation, Stored, Transcript
from chatserver.storage.turns import AcceptTurn, Current
from loadtests.measures import Curves, Figure, Plan, Result, at_most, at_share, quantiles
from loadtests.processes import serving
from loadtests.talks import WriteTalk, make_talk

LENGTHS = (50, 500, 5_000)
#: The conversation that the requirement is about, and what its prompts may take.
LONG = 500
MOST_MS = 5
#: Prompts of each kind built in a round; the first of them warm up.
BUILT = 200
_WARM_UP = 20
#: How much longer the longest conversation's prompts may take, and the most rows read for any.
_FLAT = 1.5
_MOST_ROWS = 64

_MODEL = "sim-chat:latest"
_SYSTEM = "You are a patient friend who remembers what was said and answers in short, plain sentences."
_QUESTIONS = ("Thanks!", "Compare it with a river.", "Recap it all so far.")
_SOMEBODY = Principal("default", "somebody")


class _Watched(Messages):
    """Notes how many rows a prompt was made from."""

    most = 0

    async def transcript(self, conversation: str, from_message: str, limit: int) -> Transcript:
        found = await super().transcript(conversation, from_message, limit)
        self.most = max(self.most, len(found.said))
        return found


@dataclass(frozen=True)
class Built:
    """What building prompts of one conversation took in one round."""

    milliseconds: Sequence[float]
    rows: int
    tokens: int

    def at(self, share: float) -> float:
        return at_share(self.milliseconds, share)


async def run(plan: Plan) -> Result:
    found: dict[int, list[Built]] = {length: [] for length in LENGTHS}
    async with _parts(plan.seed) as parts:
        asked = {length: await _asked(parts, length, plan.seed) for length in LENGTHS}
        for number in range(1, plan.pairs + 1):
            for length, generations in asked.items():
                built = await _build(_prompts(parts), generations)
                found[length].append(built)
                plan.tell(
                    f"  round {number} of {plan.pairs}, {length} messages: {built.at(0.5):.2f} ms, "
                    f"95 % within {built.at(0.95):.2f} ms; {built.rows} rows read"
                )
    return evaluate(found)


def evaluate(found: Mapping[int, Sequence[Built]]) -> Result:
    figures = {}
    for length, rounds in found.items():
        figures[f"middle of {length}"] = Figure("ms", [one.at(0.5) for one in rounds])
        figures[f"95 % of {length}"] = Figure("ms", [one.at(0.95) for one in rounds])
        figures[f"rows of {length}"] = Figure("", [one.rows for one in rounds])
        figures[f"tokens of {length}"] = Figure("", [one.tokens for one in rounds])
    longest, long = (figures[f"middle of {length}"].median for length in (max(found), LONG))
    return Result(
        [
            at_most(f"95 % of prompts of {LONG} messages", MOST_MS, figures[f"95 % of {LONG}"].median, "ms"),
            at_most(f"{max(found)} messages, against {LONG}", _FLAT, longest / long, "x"),
            at_most(
                "rows read", _MOST_ROWS, max(figures[f"rows of {length}"].high for length in found), "rows"
            ),
        ],
        figures,
        [
            Curves(
                "Share of prompts built within",
                "ms",
                {
                    f"{length} messages": quantiles([value for one in rounds for value in one.milliseconds])
                    for length, rounds in found.items()
                },
            )
        ],
        [
            f"{BUILT} prompts in each round and conversation, of questions of every complexity.",
            "Counts are stored with the messages, as they are where messages come in one by one.",
        ],
    )


@asynccontextmanager
async def _parts(seed: int) -> AsyncIterator[Parts]:
    """Run a server without its sockets."""
    options = ("--port", "0", "--seed", str(seed))
    with tempfile.TemporaryDirectory(prefix="loadtests-") as folder:
        async with serving("chatserver", "simulate-ollama", *options) as (_, address):
            given = {
                "ollama.urls": (f"http://{address}",),
                "ollama.model": _MODEL,
                "server.data_dir": str(Path(folder) / "data"),
            }
            async with assemble(load(None, {}, given).settings) as parts:
                yield parts


async def _asked(parts: Parts, length: int, seed: int) -> list[Generation]:
    """Put the same talk into a conversation for each question, and ask it there."""
    counter = (await parts.prompts.measures.of(_MODEL)).counter
    generations = []
    for question in _QUESTIONS:
        talk = make_talk(seed, length)
        conversation = await _begun(parts)
        counted = [counter.count(said.content) for said in talk]
        await parts.store.writer.submit(WriteTalk(conversation, talk, counted, counter.name))
        generations.append(await _turn(parts, conversation, question))
    return generations


async def _begun(parts: Parts) -> str:
    begin = CreateConversation(
        id=new_id(CONVERSATION),
        principal=_SOMEBODY,
        title=None,
        model=_MODEL,
        system=_SYSTEM,
        now_ms=1,
        idempotency=None,
        reply=lambda _: Stored(201, b"{}"),
    )
    return (await parts.store.writer.submit(begin)).conversation.id


async def _turn(parts: Parts, conversation: str, question: str) -> Generation:
    """Accept a turn that nobody answers."""
    counted: Counted | None = await parts.prompts.count(_MODEL, question)
    turn = AcceptTurn(
        principal=_SOMEBODY,
        conversation=conversation,
        content=question,
        parent=Current.LEAF,
        model=_MODEL,
        request={},
        message_id=new_id(MESSAGE),
        answer_id=new_id(MESSAGE),
        generation_id=new_id(GENERATION),
        owner="nobody",
        claimed=False,
        lane=Lane.INTERACTIVE,
        ref=None,
        idempotency=None,
        title="A talk",
        reply=lambda _: Stored(202, b"{}"),
        now_ms=1,
        counted=counted,
    )
    return (await parts.store.writer.submit(turn)).generation


def _prompts(parts: Parts) -> tuple[Prompts, _Watched]:
    watched, settings = _Watched(parts.store.database), parts.settings
    prompts = Prompts(
        fleet=parts.fleet,
        measures=parts.prompts.measures,
        messages=watched,
        summaries=parts.store.summaries,
        ollama=settings.ollama,
        generation=settings.generation,
        context=settings.context,
    )
    return prompts, watched


async def _build(building: tuple[Prompts, _Watched], generations: Sequence[Generation]) -> Built:
    prompts, watched = building
    taken: list[float] = []
    tokens = 0
    for number in range(BUILT + _WARM_UP):
        generation = generations[number % len(generations)]
        begun = time.perf_counter()
        prompt = await prompts.build(generation)
        taken.append(1000 * (time.perf_counter() - begun))
        tokens = max(tokens, prompt.report["tokens"]["total"])
    return Built(taken[_WARM_UP:], watched.most, tokens)
