"""Weighted sums of few entries."""

from __future__ import annotations

import numpy as np
import torch

from verify.graph import Graph
from verify.onnx_import.call import Builder, Call
from verify.onnx_import.taps import tapped
from verify.ops import Input


def test_a_sum_of_two_taps():
    builder = Builder()
    x = builder.add("x", Input((3,)))
    call = Call("Op", "n", 13, (x,), ("y",), {}, builder)
    taps = [(np.array([0, 1]), np.array([2.0, 1.0])), (np.array([2, -1]), 1.0), (np.array([0, 0]), 0.0)]
    y = tapped(call, x, taps)
    point = torch.tensor([[1.0, 10.0, 100.0]], dtype=torch.float64)
    assert Graph(tuple(builder.nodes), y.name).evaluate(point).tolist() == [[102.0, 10.0]]
    kinds = [type(node.op).__name__ for node in builder.nodes]
    assert kinds == ["Input", "Gather", "Affine", "Gather", "Add"]
