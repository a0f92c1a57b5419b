"""Every drawn operator is a model that the importer takes and that onnxruntime agrees with."""

import pytest
import torch

from benchmarks.soundness.operator_models import BUILDERS, operator_model
from verify.onnx_import import compare_with_onnxruntime, from_bytes


@pytest.mark.parametrize("number", range(2 * len(BUILDERS)))
def test_draws_are_valid(number):
    name, onnx = operator_model(number, 5)
    network = from_bytes(onnx)
    points = torch.randn(3, *network.input_shape, generator=torch.Generator().manual_seed(number))
    assert compare_with_onnxruntime(network, points) < 1e-4, name
    assert operator_model(number, 5) == (name, onnx)


def test_other_seeds_draw_other_models():
    assert sum(operator_model(k, 5) != operator_model(k, 6) for k in range(len(BUILDERS))) > len(BUILDERS) // 2
