"""Interpolation kernels: they interpolate, and reproduce constants."""

from __future__ import annotations

import numpy as np
import pytest

from verify.onnx_import.kernels import cubic, linear

WHOLE = np.arange(-3.0, 4.0)


@pytest.mark.parametrize("kernel", [linear, cubic, lambda x: cubic(x, -0.5)])
def test_weights_of_neighbours(kernel):
    assert kernel(WHOLE).tolist() == [0, 0, 0, 1, 0, 0, 0]
    for shift in np.linspace(0, 1, 7):
        assert kernel(WHOLE - shift).sum() == pytest.approx(1.0)


def test_keys_cubic_reproduces_parabolas():
    """With a = -1/2 it is exact of order three (Keys 1981)."""
    for shift in (0.25, 0.6):
        assert (cubic(WHOLE - shift, -0.5) * WHOLE**2).sum() == pytest.approx(shift**2)
