"""Scales and zero points."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import.call import Builder, Call, Known
from verify.onnx_import.quantised import centred, quantised, spread

CALL = Call("QuantizeLinear", "n", 21, (), ("y",), {}, Builder())


def test_scales_per_tensor_axis_and_block():
    assert spread(CALL, np.float32([0.5]), (2, 3), 1).shape == ()
    assert spread(CALL, np.float32([1, 2, 3]), (2, 3, 4), 1).shape == (1, 3, 1)
    blocks = spread(CALL, np.float32([[1, 2], [3, 4]]), (2, 3), 1, block=2)
    assert blocks.tolist() == [[1, 1, 2], [3, 3, 4]]
    with pytest.raises(InvalidInput, match="axis 1"):
        spread(CALL, np.float32([1, 2]), (2, 3), 1)


def test_constants_are_centred_exactly():
    q = Known("q", np.array([0, 255], np.uint8))
    assert centred(CALL, q, np.float64(128)).array.tolist() == [-128, 127]


def test_floats_are_no_target():
    with pytest.raises(UnsupportedOperator, match="float8"):
        quantised(CALL, Known("x", np.ones(1)), np.ones(()), np.zeros(()), TensorProto.FLOAT8E4M3FN)
