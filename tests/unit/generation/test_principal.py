from dataclasses import FrozenInstanceError

import pytest

from chatserver.generation.principal import Principal


def test_the_same_user_of_the_same_tenant_is_the_same_principal():
    assert Principal("acme", "ann") == Principal("acme", "ann")
    assert len({Principal("acme", "ann"), Principal("acme", "ann"), Principal("other", "ann")}) == 2


def test_a_principal_never_becomes_somebody_else():
    with pytest.raises(FrozenInstanceError):
        Principal("acme", "ann").user = "bob"
