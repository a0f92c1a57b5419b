"""Unrolling: what is constant at the start costs nothing, shapes are those of ONNX."""

from __future__ import annotations

import numpy as np
import pytest

from tests.verify.onnx_import.models import imported, ops_of, single
from verify.errors import InvalidInput

rng = np.random.default_rng(3)


def lstm(steps: int, **attributes):
    weights = [rng.standard_normal((1, 8, size)).astype(np.float32) for size in (3, 2)]
    return single("LSTM", (steps, 1, 3), weights, opset=14, hidden_size=2, outputs=("y", "h", "c"), **attributes)


def test_a_zero_state_leaves_out_its_terms():
    """The first step has no recurrence and no forget gate: one product i g and one o tanh(c)."""
    first, second = (ops_of(imported(lstm(steps))) for steps in (1, 2))
    assert first.count("Linear") == 1 and first.count("Product") == 2 and first.count("Sigmoid") == 2
    assert second.count("Linear") == 2 and second.count("Product") == 5 and second.count("Sigmoid") == 5


def test_shapes():
    shapes = [port.shape for port in imported(lstm(3)).outputs]
    assert shapes == [(3, 1, 1, 2), (1, 1, 2), (1, 1, 2)]


@pytest.mark.parametrize("attributes, word", [
    ({"direction": "sideways"}, "sideways"), ({"activations": ["Tanh"]}, "1 activations")])
def test_malformed(attributes, word):
    with pytest.raises(InvalidInput, match=word):
        imported(lstm(1, **attributes))
