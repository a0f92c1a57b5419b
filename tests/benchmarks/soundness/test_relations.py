"""Every relation keeps the function, or the property, that it claims to keep."""

import numpy as np
import pytest
import torch

from benchmarks.soundness.relations import RELATIONS
from tests.soundness.exact import ExactNetwork, find_unsafe
from verify.onnx_import import from_bytes


@pytest.mark.parametrize("name", RELATIONS)
@pytest.mark.parametrize("seed", range(3))
def test_the_truth_is_kept(name, seed):
    pair = RELATIONS[name](seed)
    assert pair.variants
    first = from_bytes(pair.question.onnx)
    x = torch.randn(20, *first.input_shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for variant in pair.variants:
        other = from_bytes(variant.onnx)
        assert np.allclose(first.graph.evaluate(x), other.graph.evaluate(x), rtol=1e-9, atol=1e-9)
        unsafe = find_unsafe(ExactNetwork.of(other.graph), variant.spec)
        assert (unsafe is None) == (pair.question.unsafe is None)


def test_variants_are_not_the_original():
    for name, relation in RELATIONS.items():
        pair = relation(16)
        assert any(v.onnx != pair.question.onnx or v.spec is not pair.question.spec for v in pair.variants), name
