"""Dangerous nodes by name: what is undefined, huge, steep, or jumps."""

from __future__ import annotations

import pytest
import torch
from onnx import helper

from tests.verify.onnx_import.models import imported, model
from verify.bounds.ibp import ibp
from verify.onnx_import.diagnose import dangers
from verify.sets import Interval

CASES = [
    ("Reciprocal", (-0.5, 2.0), "may leave its domain: argument in [-0.5, 2] for 3 of 3 entries"),
    ("Reciprocal", (1e-9, 2.0), "is steep: slope 1e+18"),
    ("Log", (-1.0, 2.0), "may leave its domain"),
    ("Log", (1e-8, 2.0), "is steep: slope 1e+08"),
    ("Sqrt", (-1e-3, 2.0), "may leave its domain"),
    ("Exp", (0.0, 100.0), "may reach 2.69e+43"),
    ("Floor", (0.2, 1.3), "may jump for 3 of 3 entries"),
]


def bounds_of(op_type: str, low: float, high: float):
    graph = imported(model([helper.make_node(op_type, ["x"], ["y"])], (1, 3))).graph
    ends = (torch.full((1, 1, 3), value, dtype=torch.float64) for value in (low, high))
    return graph, ibp(graph, Interval(*ends))


@pytest.mark.parametrize("op_type, ends, words", CASES)
def test_what_is_dangerous_is_named(op_type, ends, words):
    (line,) = dangers(*bounds_of(op_type, *ends))
    assert line.startswith(f"node 'y' ({op_type}) ") and words in line


@pytest.mark.parametrize("op_type, ends", [
    ("Reciprocal", (0.5, 2.0)), ("Log", (0.1, 2.0)), ("Exp", (-100.0, 3.0)), ("Floor", (0.2, 0.9)),
    ("Sigmoid", (-9.0, 9.0)), ("Relu", (-1.0, 1.0))])
def test_what_is_not_is_not(op_type, ends):
    assert dangers(*bounds_of(op_type, *ends)) == []
