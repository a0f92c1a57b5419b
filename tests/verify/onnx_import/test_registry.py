"""Importers by operator and opset."""

from __future__ import annotations

import pytest

from verify.errors import BrokenInvariant
from verify.onnx_import import ops
from verify.onnx_import.ops import clip, relu, slice
from verify.onnx_import.registry import importer, lookup, supported


def test_the_latest_version_not_above_the_opset():
    assert lookup("Slice", 9) is slice.slice_attributes and lookup("Slice", 10) is slice.slice_inputs
    assert lookup("Slice", 24) is slice.slice_inputs and lookup("Clip", 8) is clip.clip_attributes
    assert lookup("Relu", 8) is relu.relu


def test_misses():
    assert lookup("Mystery", 13) is None and lookup("Reshape", 4) is None


def test_duplicates_raise():
    with pytest.raises(BrokenInvariant, match="two importers for Relu since opset 1"):
        importer("Relu")(relu.relu)


def test_the_operators_that_are_promised():
    promised = [
        "Relu",
        "LeakyRelu",
        "Sigmoid",
        "Tanh",
        "Clip",
        "Gemm",
        "MatMul",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Conv",
        "ConvTranspose",
        "BatchNormalization",
        "MaxPool",
        "AveragePool",
        "GlobalAveragePool",
        "Flatten",
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Concat",
        "Split",
        "Slice",
        "Gather",
        "Pad",
        "Dropout",
        "Identity",
        "ReduceMean",
        "ReduceSum",
        "Cast",
        "Shape",
    ]
    assert set(promised) <= set(supported()) and ops.supported() == tuple(sorted(supported()))
