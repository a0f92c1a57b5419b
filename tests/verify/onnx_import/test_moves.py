"""Moves of values of which some are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verify.errors import InvalidInput
from verify.graph import Graph
from verify.onnx_import import moves
from verify.onnx_import.call import Builder, Call, Known
from verify.ops import Constant, Input


def call() -> Call:
    builder = Builder()
    return Call("Op", "n", 13, (builder.add("x", Input((2, 2))),), ("y",), {}, builder)


def at(c: Call, value) -> list:
    x = torch.arange(4, dtype=torch.float64).reshape(1, 2, 2)
    return Graph(tuple(c.builder.nodes), value.name).evaluate(x)[0].tolist()


def test_known_values_stay_known():
    c, known = call(), Known("k", np.arange(4).reshape(2, 2))
    assert moves.taken(c, known, 1, 0).array.tolist() == [2, 3]
    assert moves.joined(c, [known, known], 1).array.shape == (2, 4) and len(c.builder.nodes) == 1
    assert moves.reshaped(c, known, (4,)).array.shape == (4,) and moves.shape_of(known) == (2, 2)


def test_known_and_variable_values_are_joined():
    c = call()
    x, known = c.variable(0), Known("k", np.full((2, 2), 9))
    assert at(c, moves.joined(c, [x, known, Known("none", np.zeros((0, 2)))], 0)) == [[0, 1], [2, 3], [9, 9], [9, 9]]
    assert at(c, moves.stacked(c, [x, x], 1)) == [[[0, 1], [0, 1]], [[2, 3], [2, 3]]]
    assert at(c, moves.taken(c, x, 1, 1)) == [1, 3]


def test_only_the_constants_that_are_read_join_the_graph():
    c = call()
    x, known = c.variable(0), Known("k", np.array([np.inf, 7.0, 8.0]))
    assert at(c, moves.assembled(c, (x, known), np.array([3, 5, 0]))) == [3, 7, 0]
    assert not any(isinstance(node.op, Constant) for node in c.builder.nodes)
    assert at(c, moves.assembled(c, (known, x), np.array([1, 2, 6, 3]))) == [7, 8, 3, 0]
    assert at(c, moves.assembled(c, (known, x), np.array([2, 1]))) == [8, 7]
    with pytest.raises(InvalidInput, match="infinite"):
        moves.assembled(c, (x, known), np.array([0, 4]))
