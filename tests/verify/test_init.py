"""The public names exist and are resolved lazily."""

import pytest

import verify


@pytest.mark.parametrize("name", ["Budget", "Reason", "Result", "Verdict", "VerifyError", "Witness"])
def test_public_names_resolve(name):
    assert getattr(verify, name).__name__ == name
    assert name in dir(verify) and name in verify.__all__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = verify.nonsense
