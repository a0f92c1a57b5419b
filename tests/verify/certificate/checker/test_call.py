"""Arithmetic on constants is exact or refused; what is not read of a node is known."""

from __future__ import annotations

import numpy as np
import pytest

from verify.certificate.checker.call import Call, Step, Var
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.onnx_reader import Node
from verify.certificate.checker.ops import Input, Scale, Take


def call(op_type: str = "Add", opset: int = 13, **attributes) -> Call:
    steps = [Step("x", Input(), (), (2, 3))]
    values = {"x": Var(0, (2, 3)), "c": np.ones(3, np.int64)}
    return Call(Node(op_type, "n", ("x", "", "c"), ("y",), attributes), values, steps, opset, "float32")


@pytest.mark.parametrize(
    "op, a, b, wanted",
    [
        ("Add", np.float32([1, 2]), np.float32(0.5), [1.5, 2.5]),
        ("Sub", np.int64([1, 2]), np.int64(5), [-4, -3]),
        ("Mul", np.float64(0.5), np.float64([4.0]), [2.0]),
        ("Div", np.int64([7, -7, 6]), np.int64([2, 2, -4]), [3, -3, -1]),
        ("Div", np.float32([1]), np.float32([4]), [0.25]),
    ],
)
def test_exact_arithmetic_on_constants(op, a, b, wanted):
    found = call(op).fold(a, b)
    assert found.dtype == a.dtype and found.tolist() == wanted


@pytest.mark.parametrize(
    "op, a, b",
    [
        ("Add", np.float32([1]), np.float32([1e-9])),
        ("Mul", np.float32([0.1]), np.float32([0.1])),
        ("Div", np.float32([1]), np.float32([3])),
        ("Add", np.float32([1]), np.float64([1])),
    ],
)
def test_rounded_arithmetic_is_refused(op, a, b):
    with pytest.raises(Rejected, match=f"'n' \\({op}.*rounds"):
        call(op).fold(np.asarray(a), np.asarray(b))


def test_what_was_not_read_is_remembered():
    node = call(alpha=1.0, beta=2.0)
    assert node.unread == {"input 0", "input 2", "attribute alpha", "attribute beta"}
    assert node.attribute("alpha") == 1.0 and node.attribute("gamma", 5) == 5
    assert node.value(1) is None and node.value(7) is None and isinstance(node.var(0), Var)
    assert node.unread == {"input 2", "attribute beta"}


def test_integers_move_from_attribute_to_input():
    assert call(opset=12, axes=[1]).numbers("axes", 2, 13) == [1]
    assert call(opset=13, axes=[2]).numbers("axes", 2, 13) == [1, 1, 1]
    assert call(opset=13).numbers("axes", 1, 13) is None
    with pytest.raises(TypeError):
        call(opset=12, axes=[1.0]).numbers("axes", 2, 13)


def test_attributes_have_the_type_of_their_default():
    with pytest.raises(Rejected, match="axis is of another type"):
        call(axis=1.0).attribute("axis", 0)


def test_moves_that_move_nothing_make_no_step():
    node = call()
    x = node.var(0)
    assert node.move(x, lambda index: index) == x and len(node.steps) == 1
    turned = node.move(x, np.transpose)
    assert turned == Var(1, (3, 2)) and isinstance(node.steps[1].op, Take) and node.steps[1].inputs == (0,)
    assert node.move(np.ones((2, 3)), np.transpose).shape == (3, 2)


def test_scales_have_the_full_shape():
    node = call()
    y = node.scale(node.var(0), 2.0, np.ones((4, 1, 1)))
    op = node.steps[-1].op
    assert y.shape == (4, 2, 3) == op.scale.shape == op.shift.shape and isinstance(op, Scale)


def test_infinite_constants_and_unknown_names_are_refused():
    node = call()
    for bad in (np.inf, -np.inf, np.nan):
        with pytest.raises(Rejected, match="infinite"):
            node.scale(node.var(0), bad)
    with pytest.raises(Rejected, match="'z'"):
        Call(Node("Relu", "n", ("z",), ("y",), {}), {}, [], 13, "float32")
