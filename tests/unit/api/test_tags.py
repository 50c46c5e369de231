import pytest
from starlette.datastructures import Headers

from chatserver.api.tags import expected, is_known
from chatserver.errors import Invalid


@pytest.mark.parametrize("given", ['"12"', 'W/"12"', '"3", "12"', "*", ' "12" '])
def test_a_version_that_the_caller_has_is_known(given) -> None:
    assert is_known(Headers({"if-none-match": given}), 12)


@pytest.mark.parametrize("given", ["", '"1"', '"2"', '"112"', '"123"', "12"])
def test_another_version_is_not(given) -> None:
    assert not is_known(Headers({"if-none-match": given}), 12)


@pytest.mark.parametrize(("given", "change"), [('"12"', 12), ('W/"12"', 12), ("*", None), (' "0" ', 0)])
def test_a_change_may_be_meant_for_one_version(given, change) -> None:
    assert expected(Headers({"if-match": given})) == change


def test_without_a_condition_any_version_will_do() -> None:
    assert expected(Headers({})) is None
    assert not is_known(Headers({}), 12)


@pytest.mark.parametrize(
    "given", ["", "12", '"12", "13"', '"x"', '"-1"', '"012"', '"' + "9" * 16 + '"', '"٣"']
)
def test_what_is_no_tag_of_ours_is_refused_by_name(given) -> None:
    with pytest.raises(Invalid) as refusal:
        expected(Headers({"if-match": given.encode().decode("latin-1")}))
    assert refusal.value.facts == {"field": "If-Match"}
