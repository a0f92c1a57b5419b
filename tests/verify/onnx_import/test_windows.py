"""Sliding windows, by hand."""

from __future__ import annotations

import pytest

from verify.errors import InvalidInput, ShapeMismatch, UnsupportedOperator
from verify.onnx_import.call import Builder, Call
from verify.onnx_import.windows import window


def call(**attributes) -> Call:
    return Call("Conv", "c", 13, (), ("y",), attributes, Builder())


def test_plain_and_strided():
    assert window(call(), (5,), (3,)).output == (3,)
    frame = window(call(strides=[2], pads=[1, 1]), (5,), (3,))
    assert frame.output == (3,) and frame.reads(call())[0][0].tolist() == [[-1, 1, 3], [0, 2, 4], [1, 3, 5]]
    assert frame.counts(call(), False).tolist() == [2, 3, 2] and frame.counts(call(), True).tolist() == [3, 3, 3]


def test_dilation_reaches_further():
    assert window(call(dilations=[2]), (5,), (3,)).output == (1,)


def test_ceil_mode_reaches_beyond_the_image():
    frame = window(call(strides=[2], ceil_mode=1), (6,), (3,))
    assert frame.output == (3,) and frame.overhang == (1,) and frame.counts(call(), True).tolist() == [3, 3, 2]
    assert frame.unpadded().size == (7,)
    # A window that would start in the padding behind the image does not exist.
    assert window(call(strides=[3], pads=[1, 1], ceil_mode=1), (5,), (3,)).output == (2,)


def test_same_pads():
    assert window(call(auto_pad=b"SAME_UPPER"), (4,), (2,)).end == (1,)
    assert window(call(auto_pad=b"SAME_LOWER"), (4,), (2,)).begin == (1,)
    assert window(call(auto_pad=b"VALID"), (4,), (2,)).output == (3,)


def test_refusals():
    with pytest.raises(ShapeMismatch, match="does not fit"):
        window(call(), (2,), (3,))
    with pytest.raises(ShapeMismatch, match="strides"):
        window(call(strides=[1, 1]), (4,), (3,))
    with pytest.raises(InvalidInput, match="pads"):
        window(call(pads=[-1, 0]), (4,), (3,))
    with pytest.raises(InvalidInput, match="auto_pad"):
        window(call(auto_pad=b"OTHER"), (4,), (3,))
    with pytest.raises(UnsupportedOperator, match="padding"):
        window(call(pads=[3, 0]), (4,), (2,)).reads(call())
