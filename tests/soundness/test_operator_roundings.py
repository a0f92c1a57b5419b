"""Per ONNX operator: what a float32 execution may be off by encloses what onnxruntime is off by, and nothing is charged
for operators that are exact."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto

from tests.soundness.executions import execute
from tests.verify.onnx_import.models import imported
from tests.verify.onnx_import.ops.test_ops import CASES
from verify.bounds.ibp import ibp
from verify.onnx_import.simplify import simplify
from verify.sets import Interval

EXACT = ("relu", "clip", "abs", "neg", "max", "min", "largest", "smallest", "global-max", "pad", "slice", "gather",
         "transpose", "flatten", "reshape", "concat", "squeeze", "unsqueeze", "expand", "tile", "where", "depth",
         "space", "upsample", "resize", "identity", "dropout")


def runs(proto: ModelProto, x: np.ndarray) -> list[np.ndarray]:
    """onnxruntime with and without its rewrites."""
    level, found = onnxruntime.GraphOptimizationLevel, []
    for wanted in (level.ORT_DISABLE_ALL, level.ORT_ENABLE_ALL):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = wanted, 3
        session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found.append(session.run(None, {session.get_inputs()[0].name: x})[0].astype(np.float64))
    return found


@pytest.mark.parametrize("name", CASES)
def test_executions_of_every_operator_are_enclosed(name):
    network, rng = imported(CASES[name]), np.random.default_rng(3)
    if network.double:
        pytest.skip("computes in float64")
    x = rng.standard_normal(network.input_shape).astype(np.float32)
    point = torch.from_numpy(x).double().unsqueeze(0)
    values = [*runs(CASES[name], x), *(execute(network.declared, x, rng)[network.declared.output] for _ in range(2))]
    for graph in (network.declared, simplify(network.declared)):
        bounds = ibp(graph, Interval(point, point))[graph.output]
        for y in values:
            assert ((bounds.lower[0].numpy() <= y) & (y <= bounds.upper[0].numpy())).all()


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(EXACT)])
def test_exact_operators_are_charged_nothing(name):
    charged = [node.name for node in imported(CASES[name]).declared.nodes
               if node.roundings is not None and type(node.op).__name__ != "Constant"]
    assert not charged
