"""The support matrix is what the code does, and has every operator of the published benchmarks."""

from __future__ import annotations

import pytest

from verify.onnx_import import matrix
from verify.onnx_import.registry import supported
from verify.ops import Product, Relu, Sigmoid
from verify.ops.curve import Curve
from verify.ops.step import Floor

# All that occur in the published networks of the verification competitions from 2021 to 2026.
BENCHMARKS = [
    "Relu", "Gemm", "Add", "Conv", "MatMul", "Constant", "Reshape", "Flatten", "Concat", "Gather", "Slice", "Sub",
    "Mul", "Transpose", "ConstantOfShape", "Div", "Sigmoid", "Unsqueeze", "Shape", "Equal", "AveragePool",
    "BatchNormalization", "Cos", "Expand", "MaxPool", "Neg", "Pad", "Pow", "ReduceSum", "Sin", "Softmax", "Where",
    "ArgMax", "Cast", "ConvTranspose", "Clip", "Dropout", "Floor", "LeakyRelu", "Max", "Min", "OneHot", "Range",
    "ReduceMean", "Resize", "ScatterND", "Sign", "Split", "Squeeze", "Tanh", "Upsample", "Erf",
    "LayerNormalization", "QuantizeLinear", "DequantizeLinear",
]
# Shape arithmetic: constants, which every operator may compute.
FOLDED = {"ConstantOfShape", "Range"}


@pytest.fixture(scope="module")
def rows():
    return {row.name: row for row in matrix.rows()}


def test_the_committed_file_is_what_the_code_says(rows):
    wanted = matrix.text(tuple(rows.values()))
    assert matrix.PATH.read_text(encoding="utf-8") == wanted, "run python -m verify.onnx_import.matrix"


def test_every_operator_of_the_benchmarks_is_there(rows):
    assert set(BENCHMARKS) <= set(rows)
    assert {name for name in BENCHMARKS if rows[name].reason} == FOLDED


def test_every_importer_is_listed_and_every_refusal_says_why(rows):
    assert set(supported()) <= {name for name, row in rows.items() if not row.reason}
    assert all(row.reason or row.since for row in rows.values())


def test_rows_by_hand(rows):
    assert rows["Relu"].primitives == (Relu,) and rows["Relu"].split == "phase" and rows["Relu"].float32
    assert rows["Conv"].primitives == () and rows["Conv"].split == "-"
    assert rows["LSTM"].float32 and Product in rows["LSTM"].primitives and Sigmoid in rows["LSTM"].primitives
    assert rows["Floor"].primitives == (Floor,) and not rows["Floor"].float32 and issubclass(Floor, Curve)
    assert "constant shape" in rows["ConstantOfShape"].reason
