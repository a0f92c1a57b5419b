"""The distance behind the outputs."""

import numpy as np
import pytest
import torch

from tests.verify.specs.models import dense
from verify.errors import ShapeMismatch
from verify.onnx_import.compare import compare_with_onnxruntime
from verify.onnx_import.module import from_module
from verify.specs.distance import Distance


def test_is_the_last_output():
    network = from_module(dense(4, 3, 2), input_shape=(1, 4))
    centre = np.array([0.1, -0.5, 2.0, 0.0])
    longer = Distance(centre).attach(network)
    x = torch.randn(5, 1, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = longer.graph.evaluate(x).numpy()
    np.testing.assert_allclose(y[:, 2], np.abs(x.reshape(5, 4).numpy() - centre).sum(1), atol=1e-12)
    np.testing.assert_array_equal(y[:, :2], network.graph.evaluate(x).flatten(1).numpy())
    compare_with_onnxruntime(longer, x)


def test_another_size_is_refused():
    with pytest.raises(ShapeMismatch, match="the point has 3 entries; the input 'input' of Sequential has 4"):
        Distance(np.zeros(3)).attach(from_module(dense(4, 2), input_shape=(1, 4)))
