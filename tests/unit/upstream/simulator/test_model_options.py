import pytest

from chatserver.upstream.simulator.model_options import check_options, launch_options
from chatserver.upstream.simulator.refusals import Refusal


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_ctx": "4096"}, 'option "num_ctx" must be of type integer'),
        ({"num_predict": True}, 'option "num_predict" must be of type integer'),
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"use_mmap": 1}, 'option "use_mmap" must be of type boolean'),
        ({"stop": "x"}, 'option "stop" must be of type array'),
    ],
)
def test_an_option_of_the_wrong_type_is_a_server_error(options: dict, sentence: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_options(options)
    assert (refused.value.status, refused.value.sentence) == (500, sentence)


def test_unknown_options_are_ignored_and_numbers_are_cast() -> None:
    assert check_options({"num_ctx": 4096.0, "odd": [], "top_p": 1, "seed": None}) == {
        "num_ctx": 4096,
        "odd": [],
        "top_p": 1.0,
    }


def test_naming_a_default_is_not_a_difference() -> None:
    assert launch_options({"num_batch": 512}) == launch_options({})
    assert launch_options({"num_batch": 256}) != launch_options({})
