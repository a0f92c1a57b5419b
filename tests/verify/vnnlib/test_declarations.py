"""Networks that do not fit each other; the texts are in v2/test_resolve.py, here what Python says directly."""

import pytest

from verify.errors import InvalidInput
from verify.interface import INPUT, OUTPUT, Declaration, Tensor
from verify.vnnlib.declarations import checked


def declaration(name, x, y, dtype="real", **same):
    return Declaration(name, (Tensor(x, INPUT, dtype, (1,)), Tensor(y, OUTPUT, dtype, (1,))), **same)


def test_types_are_spelled_in_one_way():
    (found,) = checked([declaration("f", "X", "Y", "Real")])
    assert {tensor.dtype for tensor in found.tensors} == {"real"}


def test_what_is_refused():
    first = declaration("f", "X", "Y")
    for second, message in ((declaration("f", "U", "V"), "declared twice"), (declaration("g", "X", "V"), "unique"),
                            (declaration("g", "U", "V", equal_to="h"), "not declared before it"),
                            (declaration("g", "U", "V", "float32"), "uses real for all variables or for none")):
        with pytest.raises(InvalidInput, match=message):
            checked([first, second])
    assert len(checked([first, declaration("g", "U", "V", equal_to="f")])) == 2
