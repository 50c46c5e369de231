import subprocess
import sys
from pathlib import Path

from tests.contract.storage.store import ALICE, opened

_WRITE_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from tests.contract.storage.store import opened

async def write(store):
    while True:
        accepted = await store.answered(await store.conversation(), "Hello?")
        print(accepted.generation.conversation, accepted.generation.id, flush=True)

address = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])

async def main():
    async with opened(address) as store:
        await asyncio.gather(*(write(store) for _ in range(5)))

asyncio.run(main())
"""


def killed_after(lines: int, address: Path | str) -> list[list[str]]:
    """What a process had acknowledged when it was killed, at least so many lines of it."""
    command = [sys.executable, "-c", _WRITE_UNTIL_KILLED, str(address)]
    root = Path(__file__).parents[3]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        acknowledged = [process.stdout.readline().split() for _ in range(lines)]
        process.kill()
        return acknowledged + [line.split() for line in process.stdout if line.endswith("\n")]


async def test_what_was_acknowledged_survives_the_death_of_the_process(database) -> None:
    acknowledged = killed_after(40, database)
    async with opened(database) as store:
        for conversation, generation in acknowledged:
            ended = await store.generations.get(ALICE, generation)
            assert ended.result == "Answer to Hello?"
            whole = await store.messages.branch(ALICE, conversation, None, None, 10)
            assert len(whole.items) == 2
        assert await store.turn(acknowledged[0][0])
