"""Newline-delimited JSON, cut into lines as the bytes come in."""

from chatserver.errors import PayloadTooLarge


class LineSplitter:
    """Holds the unfinished last line; `feed` gives the lines that a chunk completes."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        if b"\n" not in chunk:
            self._keep(chunk)
            return []
        if self._rest:
            chunk = bytes(self._rest) + chunk
            self._rest.clear()
        *lines, rest = chunk.split(b"\n")
        if rest:
            self._keep(rest)
        return list(filter(bytes.strip, lines))

    def flush(self) -> list[bytes]:
        """Give what stands after the last line break, as one line."""
        rest, self._rest = bytes(self._rest.strip()), bytearray()
        return [rest] if rest else []

    def _keep(self, part: bytes) -> None:
        # Added to what is there, not joined anew: a long line may come in thousands of small parts at once.
        self._rest += part
        if len(self._rest) > self._longest:
            raise PayloadTooLarge(f"A line is longer than {self._longest} bytes.")
