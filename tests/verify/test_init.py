"""The public names exist and are resolved lazily."""

import pytest

import verify


@pytest.mark.parametrize("name", [name for name in verify.__all__ if not name.startswith("__")])
def test_public_names_resolve(name):
    found = getattr(verify, name)
    assert found.__name__.split(".")[-1] == name and (callable(found) or name == "specs")
    assert name in dir(verify) and name in verify.__all__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = verify.nonsense
