"""Reading files: what is accepted, and the one-line errors for what is not."""

from __future__ import annotations

import gzip

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import agrees, constant, imported, model, single
from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import compare_with_onnxruntime, from_bytes, load_network

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def tiny(opset: int = 13, **options):
    return model([helper.make_node("MatMul", ["x", "w"], ["y"])], (1, 2), [constant("w", WEIGHT)], opset, **options)


def test_file_and_compressed_files_are_the_same_network(tmp_path):
    data = tiny().SerializeToString()
    x = torch.tensor([[[1.0, -2.0]]], dtype=torch.float64)
    for name, content in (
        ("a.onnx", data),
        ("a.onnx.gz", gzip.compress(data)),
        ("b.onnx.gz", gzip.compress(gzip.compress(data))),
    ):
        (tmp_path / name).write_bytes(content)
        network = load_network(tmp_path / name)
        assert network.onnx == data and network.opset == 13 and network.operators == {"MatMul": 1}
        assert network.input_name == "x" and network.input_shape == (1, 2) and network.output_shape == (1, 3)
        assert not network.double and network.source.endswith(name)
        assert network.graph.evaluate(x).tolist() == [[[-6.0, -7.0, -8.0]]]


@pytest.mark.parametrize(
    "content, word",
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"hello, this is no network", "not an ONNX model"),
        (gzip.compress(tiny().SerializeToString())[:-20], "gzip"),
        (tiny().SerializeToString()[:-30], "ONNX"),
    ],
    ids=["empty", "lfs", "gzip", "text", "cut gzip", "cut"],
)
def test_unreadable_files(tmp_path, content, word):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InvalidInput, match=word) as caught:
        load_network(tmp_path / "bad.onnx")
    assert "bad.onnx" in str(caught.value) and "\n" not in str(caught.value)


def test_missing_file_and_directory(tmp_path):
    for path in (tmp_path / "none.onnx", tmp_path):
        with pytest.raises(InvalidInput, match="cannot be read"):
            load_network(path)


def test_every_truncation_is_an_error_or_the_network():
    data = tiny().SerializeToString()
    for length in range(0, len(data), 3):
        try:
            assert from_bytes(data[:length]).output_shape == (1, 3)
        except (InvalidInput, UnsupportedOperator) as error:
            assert "\n" not in str(error)


def test_external_weights(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(tiny(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    network = load_network(path)
    x = torch.randn(2, 1, 2, generator=torch.Generator().manual_seed(0))
    assert compare_with_onnxruntime(network, x) < 1e-6
    with pytest.raises(InvalidInput, match="external"):
        from_bytes(path.read_bytes())
    (tmp_path / "weights.bin").write_bytes(b"123")
    with pytest.raises(InvalidInput, match=r"weights\.bin"):
        load_network(path)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(InvalidInput, match=r"'weights\.bin' is missing"):
        load_network(path)


@pytest.mark.parametrize("opset", [7, 25])
def test_opsets_outside_the_range(opset):
    with pytest.raises(UnsupportedOperator, match=f"opset {opset} is not supported"):
        imported(tiny(opset))


def test_initialisers_listed_as_inputs_in_an_old_file():
    proto = tiny(8)
    proto.ir_version = 3
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (2, 3)))
    agrees(proto)


def test_old_file_that_does_not_list_them():
    proto = tiny(8)
    proto.ir_version = 3
    assert imported(proto).input_shape == (1, 2)


def test_local_functions_are_inlined():
    body = [helper.make_node("Relu", ["a"], ["r"]), helper.make_node("Add", ["r", "a"], ["b"])]
    function = helper.make_function("own", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 13)])
    node = helper.make_node("Twice", ["x"], ["y"], domain="own")
    agrees(model([node], (1, 3), functions=[function], domains=["own"]))


def test_double_precision_network():
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    proto = model([node], (1, 2), [constant("w", WEIGHT, np.float64)], elem=TensorProto.DOUBLE)
    assert agrees(proto).double


def test_checker_errors_are_one_line():
    with pytest.raises(InvalidInput, match="checker") as caught:
        imported(single("Relu", (1, 3), [np.float32([1])]))
    assert "\n" not in str(caught.value)
