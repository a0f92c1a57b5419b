"""Linear maps along one axis."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from verify.graph import Graph
from verify.onnx_import.axes import along_axis
from verify.onnx_import.call import Builder, Call
from verify.ops import Input


@pytest.mark.parametrize("axis", range(3))
def test_equals_a_tensor_product(axis):
    shape = (2, 3, 4)
    rng, builder = np.random.default_rng(axis), Builder()
    x = builder.add("x", Input(shape))
    call = Call("Op", "n", 13, (x,), ("y",), {}, builder)
    matrix, bias = rng.standard_normal((5, shape[axis])), rng.standard_normal(5)
    y = along_axis(call, x, axis, matrix, bias)
    point = rng.standard_normal((1, *shape))
    found = Graph(tuple(builder.nodes), y.name).evaluate(torch.from_numpy(point)).numpy()
    wanted = np.moveaxis(np.tensordot(point, matrix, ([axis + 1], [1])) + bias, -1, axis + 1)
    assert y.shape == wanted.shape[1:] and np.allclose(found, wanted)
