"""Exit codes are part of the interface; no error may look like a verdict."""

import inspect

import pytest

from verify import errors

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value)]


@pytest.mark.parametrize(("name", "code"), [
    ("VerifyError", 70), ("InvalidInput", 2), ("ShapeMismatch", 2), ("UnsupportedOperator", 5), ("UnsupportedSpec", 5),
    ("ImportMismatch", 70), ("OutOfResources", 6), ("InvalidCertificate", 1), ("BrokenInvariant", 70),
])
def test_exit_codes(name, code):
    assert getattr(errors, name).exit_code == code


@pytest.mark.parametrize("error", CLASSES)
def test_one_tree_with_documented_members(error):
    assert issubclass(error, errors.VerifyError) and error.__doc__
    assert error.exit_code != 0
