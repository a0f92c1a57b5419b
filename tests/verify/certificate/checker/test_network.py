"""Whole files: examples, public benchmarks where they are at hand, random damage, and graphs that are refused."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from tests.verify.certificate.checker.evaluate import agrees, kinds, values
from tests.verify.onnx_import.models import constant, model, single
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.network import load_network
from verify.certificate.checker.ops import Dense, Input

ROOT = Path(__file__).resolve().parents[4]
BENCH = ROOT.parent / "shared" / "bench"
# The smallest network of each family, and one more where they differ in kind.
FAMILIES = (
    "acasxu/onnx/ACASXU_run2a_1_1_batch_2000", "cifar10_resnet/onnx/resnet_2b",
    "collins_rul_cnn/onnx/NN_rul_small_window_20", "dist_shift/onnx/mnist_concat",
    "eran/onnx/nets-ffnnSIGMOID__Point_6x200", "mnist_fc/onnx/mnist-net_256x2", "oval21/onnx/cifar_deep_kw",
    "reach_prob_density/onnx/vdp", "rl_benchmarks/onnx/cartpole", "rl_benchmarks/onnx/dubinsrejoin",
    "safenlp/onnx/ruarobot-perturbations_0", "tllverify/onnx/tllBench_n=2_N=M=8_m=1_instance_0_0",
    "verivital/onnx/Convnet_maxpool", "verivital/onnx/Convnet_avgpool",
)
rng = np.random.default_rng(5)


@pytest.mark.parametrize("name", ["digits_conv", "digits_mlp"])
def test_examples(name):
    network = agrees((ROOT / "examples" / f"{name}.onnx").read_bytes())
    assert network.input_shape == (1, 1, 8, 8) and math.prod(network.output_shape) == 10
    assert network.dtype == "float32" and isinstance(network.steps[0].op, Input)


@pytest.mark.parametrize("name", FAMILIES)
def test_benchmark_families(name):
    path = BENCH / f"{name}.onnx.gz"
    if not path.exists():
        pytest.skip(f"{name} is not at hand")
    data = path.read_bytes()
    while data.startswith(b"\x1f\x8b"):
        data = gzip.decompress(data)
    agrees(data)


def two_layers(**changes):
    w, v = constant("w", rng.standard_normal((4, 3))), constant("v", rng.standard_normal((3, 2)))
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="first"),
        helper.make_node("Neg", ["h"], ["unused"]),
        helper.make_node("Relu", ["unused"], ["unused2"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    return model(nodes, changes.pop("shape", (1, 4)), [w, v], **changes)


def test_by_hand():
    network = load_network(two_layers().SerializeToString())
    assert [type(step.op).__name__ for step in network.steps] == ["Input", "Dense", "Relu", "Dense"]
    assert [step.inputs for step in network.steps] == [(), (0,), (1,), (2,)] and network.nonlinear == (2,)
    assert kinds(network) == [("relu", 3)] and network.opset == 13
    x = rng.standard_normal((1, 4))
    first, second = (step.op.weight for step in network.steps if isinstance(step.op, Dense))
    assert np.array_equal(values(network, x)[-1], np.maximum(x @ first.T, 0) @ second.T)


@pytest.mark.parametrize("shape", [("batch", 4), (0, 4), (1, 4)])
def test_an_open_batch_is_one(shape):
    assert load_network(two_layers(shape=shape).SerializeToString()).input_shape == (1, 4)


@pytest.mark.parametrize(
    "proto, word",
    [
        (two_layers(opset=7), "opset 7"),
        (two_layers(opset=25), "opset 25"),
        (two_layers(inputs=("x", "z")), "2 inputs"),
        (two_layers(outputs=("y", "r")), "2 outputs"),
        (two_layers(shape=(1, "n")), "fixed sizes"),
        (two_layers(elem=TensorProto.INT64), "float or double"),
        (two_layers(output="nowhere"), "nowhere"),
        (two_layers(output="w"), "does not depend"),
        (model([helper.make_node("Relu", ["x"], ["x"])], (1, 4), output="x"), "already there"),
        (model([helper.make_node("Relu", ["z"], ["y"])], (1, 4)), "reads 'z'"),
        (model([helper.make_node("Relu", ["c"], ["y"])], (1, 4), [constant("c", [1.0])]), "on constants"),
    ],
)
def test_refused(proto, word):
    with pytest.raises(Rejected, match=word) as caught:
        load_network(proto.SerializeToString())
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused_or_read_never_an_error():
    """Flipped bits may give another network; they must not give anything but `Rejected` or a `Network`."""
    data = single("Conv", (1, 1, 4, 4), [rng.standard_normal((1, 1, 2, 2))], pads=[1, 0, 1, 0]).SerializeToString()
    refused = 0
    for position in range(len(data)):
        for bit in range(8):
            damaged = bytearray(data)
            damaged[position] ^= 1 << bit
            try:
                network = load_network(bytes(damaged))
            except Rejected as error:
                refused += "\n" not in str(error)
            else:
                assert values(network, np.ones(network.input_shape))[-1].shape == network.output_shape
    assert refused > 4 * len(data)
