"""Joined networks compute what each computes on its share of the input."""

import numpy as np
import pytest
import torch
from onnx import helper

from tests.verify.onnx_import.models import constant, imported, model
from verify.errors import ShapeMismatch
from verify.onnx_import import compare_with_onnxruntime
from verify.onnx_import.join import join


def layer(seed: int, inputs=2, outputs=3, shape=None):
    rng = np.random.default_rng(seed)
    known = [constant("w", rng.normal(size=(inputs, outputs))), constant("b", rng.normal(size=outputs))]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["h"]), helper.make_node("Relu", ["h"], ["y"])]
    return imported(model(nodes, shape or (1, inputs), known))


def points(count: int, size: int) -> torch.Tensor:
    return torch.randn(count, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_outputs_follow_each_other():
    f, g = layer(0), layer(1, 3, 1)
    both, x = join([("f", f), ("g", g)]), points(5, 5)
    expected = torch.cat([f.graph.evaluate(x[:, None, :2]).flatten(1), g.graph.evaluate(x[:, None, 2:]).flatten(1)], 1)
    assert torch.equal(both.graph.evaluate(x), expected)
    assert both.input_shape == (5,) and both.output_shape == (4,) and both.wiring is None
    assert [part.name for part in both.parts] == ["f", "g"] and both.operators["Gemm"] == 2
    assert compare_with_onnxruntime(both, x) < 1e-5


def test_shared_inputs():
    f, g = layer(0), layer(1, 3, 1)
    wiring = (0, 1, 1, 2, 0)
    both, x = join([("f", f), ("g", g)], wiring), points(5, 3)
    expected = join([("f", f), ("g", g)]).graph.evaluate(x[:, list(wiring)])
    assert torch.equal(both.graph.evaluate(x), expected) and both.wiring == wiring
    assert compare_with_onnxruntime(both, x) < 1e-5


def test_one_network_may_read_an_input_twice():
    f = layer(0)
    tied = join([("f", f)], (0, 0))
    assert tied.input_shape == (1,)
    assert torch.equal(tied.graph.evaluate(torch.full((1, 1), 0.5, dtype=torch.float64)),
                       f.graph.evaluate(torch.full((1, 1, 2), 0.5, dtype=torch.float64))[:, 0])


def test_float32_executions_keep_their_roundings():
    f = layer(0)
    both = join([("f", f), ("g", f)])
    for node in f.declared.nodes[1:]:
        assert both.declared[f"f/{node.name}"].roundings == node.roundings
    assert all(node.roundings is None for node in both.graph.nodes)


@pytest.mark.parametrize("wiring", [(0, 1, 2), (0, 1, 2, 4)])
def test_wirings_that_do_not_fit(wiring):
    with pytest.raises(ShapeMismatch, match="does not fit networks with 4 inputs"):
        join([("f", layer(0)), ("g", layer(1))], wiring)
