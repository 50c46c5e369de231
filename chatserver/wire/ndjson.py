"""Newline-delimited JSON, cut into lines as the bytes come in."""

from chatserver.errors import PayloadTooLarge


class LineSplitter:
    """Holds the unfinished last line; `feed` gives the lines that a chunk completes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > self._longest:
            raise PayloadTooLarge(f"A line is longer than {self._longest} bytes.")
        return list(filter(bytes.strip, lines))

    def flush(self) -> list[bytes]:
        """Give what stands after the last line break, as one line."""
        rest, self._rest = self._rest.strip(), b""
        return [rest] if rest else []
