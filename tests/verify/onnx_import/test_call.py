"""The view of one ONNX node that importers work with."""

from __future__ import annotations

import numpy as np
import pytest

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.call import Builder, Call, Known, Variable
from verify.ops import Gather, Input, Relu, Reshape


def call(*inputs, **attributes) -> Call:
    builder = Builder()
    x = builder.add("x", Input((2, 3)))
    return Call("Op", "node7", 13, (x, *inputs), ("y",), attributes, builder)


def test_names_are_unique_and_start_with_the_output():
    c = call()
    names = [c.add(Relu(), c.variable(0)).name for _ in range(3)]
    assert names == ["y", "y~2", "y~3"] and c.builder.unique("spec:y") == "onnx:spec:y"


def test_inputs_by_role():
    c = call(Known("k", np.array([1, 2])), None, flag=b"SAME", number=3)
    assert c.integers(1, "axes") == [1, 2] and c.integers(2, "axes") == [] and c.weight(1, "w").tolist() == [1.0, 2.0]
    assert not c.has(2) and not c.has(9) and c.text("flag", "no") == "SAME" and c.text("none", "no") == "no"
    assert c.attribute("number") == 3 and c.variable(1) == Variable("y", (2,)) and c.variable(0).size == 6
    with pytest.raises(UnsupportedOperator, match="its weight depends on the network input"):
        c.known(0, "weight")
    with pytest.raises(InvalidInput, match=r"node 'node7' .*input 2 is missing"):
        c.value(2)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_constants_must_be_numbers(bad):
    with pytest.raises(InvalidInput, match="'k'"):
        call(Known("k", np.array([bad]))).weight(1, "weight")


def test_axes():
    assert call().axis(-1, 3) == 2
    with pytest.raises(InvalidInput, match="axis 3"):
        call().axis(3, 3)


def test_moves_become_the_cheapest_primitive():
    c = call()
    x = c.variable(0)
    assert c.reshape(x, (2, 3)) is x and c.expand(x, (2, 3)) is x
    c.rearrange(x, lambda index: index.reshape(3, 2))
    c.rearrange(x, lambda index: index[::-1])
    c.expand(x, (4, 2, 3))
    kinds = [type(node.op) for node in c.builder.nodes]
    assert kinds == [Input, Reshape, Gather, Gather]
    assert c.builder.nodes[2].op.indices.tolist() == [[3, 4, 5], [0, 1, 2]] and c.builder.nodes[3].shape == (4, 2, 3)
    with pytest.raises(UnsupportedOperator, match="empty"):
        c.rearrange(x, lambda index: index[:0])
