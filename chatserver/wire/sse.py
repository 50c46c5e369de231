"""Server-sent events as bytes."""


def event(name: str, data: bytes, position: str | None = None) -> bytes:
    """Encode one event. `data` is JSON, so it never holds a line break."""
    if position is None:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (position.encode(), name.encode(), data)
