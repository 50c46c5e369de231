import pytest

from chatserver.upstream.simulator.catalogue import CATALOGUE, find_model, full_description
from chatserver.upstream.simulator.refusals import Refusal
from chatserver.upstream.simulator.vocabulary import SPECIAL_TOKENS, load_vocabulary


def test_a_name_without_a_tag_means_latest() -> None:
    assert find_model("sim-chat") is find_model("sim-chat:latest")


@pytest.mark.parametrize(
    ("name", "hint", "status", "sentence"),
    [
        ("", False, 400, "model is required"),
        ("nope", False, 404, "model 'nope' not found"),
        ("nope", True, 404, 'model "nope" not found, try pulling it first'),
        ("sim-chat:8b", False, 404, "model 'sim-chat:8b' not found"),
    ],
)
def test_an_unknown_model_is_refused(name: str, hint: bool, status: int, sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        find_model(name, hint=hint)
    assert (refused.value.status, refused.value.sentence) == (status, sentence)


def test_the_window_is_bounded_by_the_model_and_roomy_enough_for_pictures() -> None:
    assert find_model("sim-tiny").window(8_192) == 512
    assert find_model("sim-tiny").window(1) == 4
    assert find_model("sim-chat").window(512) == 2_048


def test_digests_tell_models_apart() -> None:
    assert len({model.digest for model in CATALOGUE}) == len(CATALOGUE)


def test_only_a_verbose_description_carries_the_vocabulary() -> None:
    model = find_model("sim-chat")
    short = full_description(model, verbose=False)["model_info"]
    whole = full_description(model, verbose=True)["model_info"]
    assert short.keys() == whole.keys()
    assert short["tokenizer.ggml.tokens"] is None
    vocabulary = load_vocabulary()
    assert whole["tokenizer.ggml.tokens"] == vocabulary.tokens
    assert [tuple(merge.split(" ")) for merge in whole["tokenizer.ggml.merges"]] == vocabulary.merges
    controls = [
        token
        for token, kind in zip(vocabulary.tokens, whole["tokenizer.ggml.token_type"], strict=True)
        if kind == 3
    ]
    assert controls == [*SPECIAL_TOKENS]
    assert (whole["tokenizer.ggml.model"], whole["tokenizer.ggml.pre"]) == ("gpt2", "llama-bpe")
