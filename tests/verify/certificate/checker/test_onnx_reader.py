"""The wire format against onnx's own reader, by hand, and damaged."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.verify.onnx_import.models import constant, model, single
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.onnx_reader import read_model

rng = np.random.default_rng(3)


def varint(n: int) -> bytes:
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out) + bytes([n])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def gemm(tensor: TensorProto | None = None) -> bytes:
    weight = constant("w", rng.standard_normal((4, 3))) if tensor is None else tensor
    return model([helper.make_node("Gemm", ["x", "w"], ["y"], alpha=0.5)], (1, 4), [weight]).SerializeToString()


def test_names_attributes_and_shapes():
    attributes = {"f": 0.1, "i": -3, "s": "abc", "fs": [1.5, 2.5], "js": [1, -(2**62)], "t": constant("t", [1, 2], int)}
    nodes = [helper.make_node("Op", ["x", "", "w"], ["y"], name="n", **attributes)]
    read = read_model(model(nodes, ("batch", 4), [constant("w", [[1.0]])], opset=17).SerializeToString())
    (node,) = read.nodes
    assert (node.op_type, node.name, node.inputs, node.outputs) == ("Op", "n", ("x", "", "w"), ("y",))
    assert node.attributes["f"] == np.float32(0.1) and node.attributes["i"] == -3 and node.attributes["s"] == "abc"
    assert node.attributes["fs"] == [1.5, 2.5] and node.attributes["js"] == [1, -(2**62)]
    assert node.attributes["t"].tolist() == [1, 2] and read.opset == 17
    assert read.inputs == (("x", "<f4", (0, 4)),) and read.outputs[0][0] == "y"


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.int64, np.bool_])
@pytest.mark.parametrize("raw", [True, False])
def test_tensors_as_onnx_reads_them(dtype, raw):
    array = (rng.standard_normal((2, 3)) * 100).astype(dtype)
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    data = array.tobytes() if raw else array.ravel().tolist()
    tensor = helper.make_tensor("w", kind, array.shape, data, raw=raw)
    found = read_model(gemm(tensor)).constants["w"]
    assert found.dtype == array.dtype and np.array_equal(found, numpy_helper.to_array(tensor))


def test_unpacked_numbers_are_read_like_packed_ones():
    numbers = np.array([1.5, -2.5], dtype="<f4")
    unpacked = b"".join(varint(4 << 3 | 5) + n.tobytes() for n in numbers)
    tensor = varint(1 << 3) + varint(2) + varint(2 << 3) + varint(1) + unpacked + field(8, b"w")
    assert read_model(field(7, field(5, tensor))).constants["w"].tolist() == [1.5, -2.5]


def tensor_with(**changes) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], raw_data=bytes(4))
    for name, value in changes.items():
        if isinstance(value, list):
            del getattr(tensor, name)[:]
            getattr(tensor, name).extend(value)
        else:
            setattr(tensor, name, value)
    return tensor


@pytest.mark.parametrize(
    "tensor, word",
    [
        (tensor_with(data_location=TensorProto.EXTERNAL), "another file"),
        (tensor_with(data_type=TensorProto.FLOAT16), "data type 10"),
        (tensor_with(raw_data=bytes(5)), "numbers of another type"),
        (tensor_with(dims=[2]), "shape"),
        (tensor_with(dims=[-1]), "shape"),
        (tensor_with(float_data=[1.0]), "numbers twice"),
    ],
)
def test_tensors_that_are_refused(tensor, word):
    with pytest.raises(Rejected, match=word):
        read_model(gemm(tensor))


def test_external_data_are_refused_by_name():
    tensor = tensor_with()
    tensor.external_data.add(key="location", value="weights.bin")
    with pytest.raises(Rejected, match="external_data"):
        read_model(gemm(tensor))


def test_what_changes_the_meaning_is_refused():
    data = gemm()
    opset = field(8, varint(2 << 3) + varint(9))
    for extra, word in ((field(25, b""), "functions"), (field(7, b""), "field 7 twice"), (opset, "several opsets"),
                        (varint(9 << 3 | 3), "wire type"), (varint(7 << 3) + varint(1), "wire type")):
        with pytest.raises(Rejected, match=word):
            read_model(data + extra)
    proto = model([helper.make_node("Gemm", ["x", "w"], ["y"], domain="mine")], (1, 4), [])
    with pytest.raises(Rejected, match="'mine'"):
        read_model(proto.SerializeToString())
    proto = model([helper.make_node("Gemm", ["x", "w"], ["y"])], (1, 4), [constant("w", [1.0]), constant("w", [2.0])])
    with pytest.raises(Rejected, match="same name"):
        read_model(proto.SerializeToString())
    proto = single("Relu", (1, 2))
    proto.graph.sparse_initializer.add()
    with pytest.raises(Rejected, match="sparse"):
        read_model(proto.SerializeToString())


def test_unknown_fields_are_skipped():
    data = gemm()
    assert read_model(data + field(900, b"?") + varint(901 << 3) + varint(5)).nodes[0].op_type == "Gemm"


def test_every_truncation_is_refused_or_an_incomplete_model():
    data = gemm()
    for end in range(len(data)):
        try:
            read = read_model(data[:end])
        except Rejected:
            continue
        # Only cuts between the fields of the outermost message remain readable.
        assert end in (0, 2, 4) or len(read.nodes) in (0, 1)


@pytest.mark.parametrize("data", [b"\x80" * 11, b"\xff" * 10 + b"\x02", b"\x00\x01", b"not a model", bytes(8)])
def test_noise_is_refused(data):
    with pytest.raises(Rejected):
        read_model(data)
