"""The way Ollama says no: a status and one flat sentence."""

#: What a request is told that finds the queue for loading full; the two spaces are Ollama's.
SERVER_BUSY = "server busy, please try again.  maximum pending requests exceeded"


class Refusal(Exception):
    """The request gets this status and sentence instead of an answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
