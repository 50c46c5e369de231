"""Pieces made out of what the store keeps: of a finished generation, or of one that was interrupted."""

from chatserver.errors import StoreUnavailable
from chatserver.generation.log import StoredLog
from chatserver.generation.pieces import Channel, Delta, Ending, Piece, Started, ToolCalls
from chatserver.storage.records import Generation, TextSoFar


def stored_log(record: Generation) -> StoredLog:
    if record.final is None or record.reason is None:
        raise StoreUnavailable("This answer is being taken up again; ask once more in a moment.")
    return StoredLog(_stored_pieces(record, with_start=record.final.n > 1), record.final)


def _stored_pieces(record: Generation, *, with_start: bool) -> list[Piece]:
    assert record.reason is not None
    pieces: list[Piece] = []
    if with_start:
        pieces.append(Started(record.model, record.attempts, context=record.context))
    if record.thinking:
        pieces.append(Delta(Channel.THINKING, record.thinking))
    if record.result:
        pieces.append(Delta(Channel.ANSWER, record.result))
    if record.tool_calls:
        pieces.append(ToolCalls(record.tool_calls))
    pieces.append(Ending(record.reason, record.sha256 or "", record.usage, record.error))
    return pieces


def saved_pieces(record: Generation, saved: TextSoFar) -> list[Piece]:
    pieces: list[Piece] = [Started(record.model, saved.attempt, context=record.context)]
    if saved.thinking:
        pieces.append(Delta(Channel.THINKING, saved.thinking))
    if saved.answer:
        pieces.append(Delta(Channel.ANSWER, saved.answer))
    return pieces
