"""The store as the other parts have it: opened, and what reads and writes it."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from chatserver.chat.watching import Watchers
from chatserver.settings import Settings
from chatserver.storage.conversations import Conversations
from chatserver.storage.database import Database
from chatserver.storage.exporting import Exports
from chatserver.storage.folder import DataFolder
from chatserver.storage.generations import Generations
from chatserver.storage.housekeeping import ForgetLeftHousekeeping
from chatserver.storage.keys import Repeats
from chatserver.storage.messages import Messages
from chatserver.storage.options import DatabaseOptions
from chatserver.storage.postgresql import is_server
from chatserver.storage.serving_lock import ServingLock
from chatserver.storage.summaries import Summaries
from chatserver.storage.writer import Writer, WriterOptions
from chatserver.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Store:
    database: Database
    writer: Writer
    conversations: Conversations
    messages: Messages
    generations: Generations
    summaries: Summaries
    exports: Exports
    repeats: Repeats


async def open_store(
    stack: AsyncExitStack, settings: Settings, folder: DataFolder, metrics: Metrics, watchers: Watchers
) -> Store:
    database = await stack.enter_async_context(
        Database.open(
            settings.store.database_url or folder.database, DatabaseOptions(readers=settings.store.readers)
        )
    )
    writer = await stack.enter_async_context(
        Writer(
            database,
            WriterOptions(max_group=settings.store.group_commit_max),
            on_commit=watchers.announce,
            observe=metrics.committed,
        )
    )
    # Nobody waits for it any more.
    await writer.submit(ForgetLeftHousekeeping())
    return Store(
        database,
        writer,
        Conversations(database),
        Messages(database),
        Generations(database),
        Summaries(database),
        Exports(database),
        Repeats(database),
    )


async def lock_server(stack: AsyncExitStack, settings: Settings) -> ServingLock | None:
    address = settings.store.database_url
    if not is_server(address):
        return None
    return await stack.enter_async_context(ServingLock(address, DatabaseOptions(), settings.server.grace_s))
