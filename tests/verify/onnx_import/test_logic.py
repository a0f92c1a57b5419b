"""Truth tables, and comparisons of integers and of real numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto

from verify.graph import Graph
from verify.onnx_import import logic
from verify.onnx_import.call import Builder, Call
from verify.ops import Input

PAIRS = torch.tensor([[a, b] for a in (0.0, 1.0) for b in (0.0, 1.0)], dtype=torch.float64)


def evaluated(build, points: torch.Tensor) -> list[float]:
    """`build` on the two entries of x, at every point."""
    builder = Builder()
    x = builder.add("x", Input((2,)))
    call = Call("Op", "n", 13, (x,), ("y",), {}, builder)
    entries = [call.rearrange(x, lambda index, k=k: index[[k]]) for k in (0, 1)]
    value = build(call, *entries)
    return Graph(tuple(builder.nodes), value.name).evaluate(points).reshape(-1).tolist()


def test_truth_tables():
    assert evaluated(logic.both, PAIRS) == [0, 0, 0, 1] and evaluated(logic.either, PAIRS) == [0, 1, 1, 1]
    assert evaluated(logic.one_of, PAIRS) == [0, 1, 1, 0]
    assert evaluated(lambda call, a, b: logic.complement(call, a), PAIRS) == [1, 1, 0, 0]


@pytest.mark.parametrize("integers", [True, False])
def test_comparisons(integers):
    points = torch.tensor([[1.0, 3.0], [3.0, 1.0], [2.0, 2.0], [-1.0, 0.0]], dtype=torch.float64)

    def compare(**kind):
        return evaluated(lambda call, a, b: logic.greater(call, a, b, integers, **kind), points)

    assert compare() == [0, 1, 0, 0] and compare(or_equal=True) == [0, 1, 1, 0]
    assert evaluated(lambda call, a, b: logic.equal(call, a, b, integers), points) == [0, 0, 1, 0]


def test_real_numbers_are_compared_exactly():
    close = torch.tensor([[1.0, 1.0 + 2**-52], [1.0, 1.0]], dtype=torch.float64)
    assert evaluated(lambda call, a, b: logic.greater(call, b, a, False), close) == [1, 0]
    assert evaluated(lambda call, a, b: logic.equal(call, a, b, False), close) == [0, 1]


def test_indicators_count_from_the_end_too():
    points = torch.tensor([[0.0, 2.0], [-1.0, 1.0]], dtype=torch.float64)
    found = evaluated(lambda call, a, b: logic.indicators(call, a, 3), points)
    assert np.reshape(found, (2, 3)).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_whole_types():
    assert logic.whole(TensorProto.BOOL, TensorProto.INT32) and not logic.whole(TensorProto.INT64, TensorProto.FLOAT)
