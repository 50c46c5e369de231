import math

from chatserver.upstream.simulator.embedding import embed


def cosine(one: str, other: str) -> float:
    return sum(a * b for a, b in zip(embed(one, 256), embed(other, 256), strict=True))


def test_vectors_have_length_one_and_are_always_the_same() -> None:
    for text in ("", "a", "What is the capital of France?"):
        vector = embed(text, 256)
        assert math.isclose(sum(value * value for value in vector), 1)
        assert vector == embed(text, 256)


def test_a_paraphrase_is_nearer_than_another_question() -> None:
    question = "What is the refund policy for damaged goods?"
    assert cosine(question, "what's your refund policy on damaged goods") > 0.9
    assert cosine(question, "What is the policy for returning shoes?") < 0.8
    assert cosine(question, "How do I bake sourdough bread?") < 0.5


def test_another_number_is_another_text() -> None:
    assert cosine("Where is order 4711?", "Where is order 4712?") < 0.9


def test_texts_that_share_more_words_are_nearer() -> None:
    base = "red apples and green pears"
    assert cosine(base, "red apples and green plums") > cosine(base, "red cars and blue boats")


def test_a_shortened_vector_still_tells_texts_apart() -> None:
    assert any(embed("hello", 256)[:16])
