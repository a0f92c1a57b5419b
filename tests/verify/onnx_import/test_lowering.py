"""Shared steps of the importers, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verify.bounds.walk import forward
from verify.errors import ShapeMismatch, UnsupportedOperator
from verify.graph import Graph
from verify.onnx_import.call import Builder, Call
from verify.onnx_import.lowering import (
    affine,
    broadcast,
    largest,
    linear_map,
    maximum,
    pad_with,
    swap_last,
    within,
)
from verify.ops import Input
from verify.sets import Interval


def call(*shape: int) -> Call:
    builder = Builder()
    return Call("Op", "n", 13, (builder.add("x", Input(shape)),), ("y",), {}, builder)


def value(c: Call, output, *x):
    graph = Graph(tuple(c.builder.nodes), output.name)
    return graph.evaluate(torch.tensor([x], dtype=torch.float64).reshape(1, *graph.input.shape))[0].tolist()


def test_affine_broadcasts_both_ways():
    c = call(2)
    assert value(c, affine(c, c.variable(0), scale=[[1.0], [2.0]], shift=1), 3, 4) == [[4, 5], [7, 9]]
    with pytest.raises(ShapeMismatch, match="broadcast"):
        affine(c, c.variable(0), shift=[1.0, 2.0, 3.0])
    a, b = broadcast(c, c.variable(0), affine(c, c.variable(0), shift=[[0.0], [1.0]]))
    assert a.shape == b.shape == (2, 2)


def test_maxima():
    c = call(2)
    x = c.variable(0)
    assert value(c, maximum(c, x, affine(c, x, scale=-1.0)), -3, 2) == [3, 2]
    c = call(5)
    stacked = np.array([[0], [3], [1], [4], [2]])
    for k in range(5):
        assert value(c, largest(c, c.variable(0), stacked), *(-7 - abs(i - k) for i in range(5))) == [-7]


def test_known_limits_are_no_change():
    """Intervals are cut to them, even where nothing else is known."""
    c = call(3)
    y = within(c, c.variable(0), -1.0, 2.0)
    assert value(c, y, -1, 0.5, 2) == [-1, 0.5, 2]
    for size in (10.0, torch.inf):
        wide = torch.full((1, 3), size, dtype=torch.float64)
        found = forward(Graph(tuple(c.builder.nodes), y.name), Interval(-wide, wide))[y.name]
        assert torch.allclose(found.lower, torch.full_like(wide, -1)) and torch.allclose(
            found.upper, torch.full_like(wide, 2))


def test_padding_and_cutting():
    c = call(1, 3)
    x = c.variable(0)
    assert value(c, pad_with(c, x, (1,), (2,), -5.0), 1, 2, 3) == [[-5, 1, 2, 3, -5, -5]]
    assert value(c, pad_with(c, x, (-1,), (1,)), 1, 2, 3) == [[2, 3, 0]]
    assert swap_last(c, x).shape == (3, 1)


def test_dense_fallback_has_a_limit():
    c = call(2, 2)
    assert value(c, linear_map(c, c.variable(0), lambda v: v.sum(1), (2,)), 1, 2, 3, 4) == [3, 7]
    with pytest.raises(UnsupportedOperator, match="dense form"):
        linear_map(c, c.variable(0), np.negative, (2**16, 2**16))
