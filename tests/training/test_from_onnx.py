"""The module computes what onnxruntime computes, trains, and exports to the same function again."""

from __future__ import annotations

import copy
import io
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.from_onnx import load_module, to_module
from training.models import ARCHITECTURES, build
from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Node
from verify.onnx_import import from_bytes, load_network
from verify.onnx_import.compare import onnxruntime_outputs
from verify.ops.base import Op

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.onnx"))


def exported(module: nn.Module, shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    dtype = next(module.parameters(), torch.zeros(())).dtype
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (torch.zeros(1, *shape, dtype=dtype),), buffer, opset_version=17, dynamo=False)
    return buffer.getvalue()


def assert_same(data: bytes | Path) -> nn.Module:
    """The loaded module equals onnxruntime on a batch, and so does its own export; every parameter has a gradient."""
    network = from_bytes(data) if isinstance(data, bytes) else load_network(data)
    module = load_module(data)
    torch.manual_seed(0)
    dtype = torch.float64 if network.double else torch.float32
    points = torch.randn(6, *network.input_shape, dtype=dtype)
    truth = onnxruntime_outputs(network, points)
    x = points.reshape(6, *module.meta["input_shape"])
    y = module(x)
    assert y.dtype == dtype and tuple(y.shape[1:]) == module.meta["output_shape"]
    close = {"rtol": 1e-4, "atol": 1e-5 * float(truth.abs().max())}
    assert torch.allclose(y.double().reshape(truth.shape), truth, **close)
    again = from_bytes(exported(module, module.meta["input_shape"]))
    assert torch.allclose(onnxruntime_outputs(again, points.reshape(6, *again.input_shape)).reshape(truth.shape), truth,
                          **close)
    if y.requires_grad:
        y.square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in module.parameters())
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples(path):
    module = assert_same(path)
    assert sum(isinstance(layer, nn.ReLU) for layer in module.children()) == load_network(path).operators["Relu"]


def lively(module: nn.Module) -> nn.Module:
    """Statistics of batch normalisations as after some training."""
    torch.manual_seed(1)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval()


class Normalize(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6])[:, None, None])
        self.register_buffer("std", torch.tensor([0.2, 0.25, 0.3])[:, None, None])

    def forward(self, x):
        return (x - self.mean) / self.std


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.b = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3, padding=1)

    def forward(self, x):
        return torch.relu(x - self.b(torch.relu(self.bn(self.a(x)))))


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return torch.cat([torch.relu(self.a(x)), self.b(x)], 1)


class Grafted(nn.Module):
    """ReLU on the neurons of `keep`, a z + b on the others."""

    def __init__(self, shape):
        super().__init__()
        generator = torch.Generator().manual_seed(len(shape))
        keep = (torch.rand(shape, generator=generator) < 0.5).float()
        self.register_buffer("keep", keep)
        self.register_buffer("slope", (1 - keep) * 0.4)
        self.register_buffer("shift", (1 - keep) * 0.1)

    def forward(self, z):
        return torch.relu(z * self.keep) + z * self.slope + self.shift


MODELS = {
    "batch norms": nn.Sequential(
        Normalize(), nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 3, 2, 1), nn.ReLU(),
        nn.BatchNorm2d(5), nn.Conv2d(5, 4, 3, padding=1), nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(),
        nn.Linear(6, 3)),
    "residual": nn.Sequential(Normalize(), Residual(), nn.ReLU(), nn.Flatten(), nn.Linear(192, 4)),
    "concat": nn.Sequential(Branches(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(54, 4)),
    "padded average": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)),
    "global average": nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                    nn.Linear(4, 3)),
    "maximum": nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(36, 3)),
    "grafted": nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Grafted((4, 8, 8)), nn.Conv2d(4, 2, 3), nn.Flatten(),
                             nn.Linear(72, 5), Grafted((5,)), nn.Linear(5, 3)),
    "transposed": nn.Sequential(nn.ConvTranspose2d(3, 2, 3, 2, 1, 1), nn.Tanh(), nn.ZeroPad2d((1, 0, 0, 2)),
                                nn.Conv2d(2, 4, 3, groups=2), nn.Sigmoid()),
}


@pytest.mark.parametrize("name", MODELS)
def test_layers(name):
    assert_same(exported(lively(MODELS[name]), (3, 8, 8)))


@pytest.mark.parametrize("arch", ["mlp-3x20", *ARCHITECTURES])
def test_architectures(arch):
    """Every architecture that can be trained here, at a small size."""
    channels, size = (1, 16) if "7" in arch or "big" in arch else (3, 16)
    module = build(arch, (channels, size, size), 10, [0.4] * channels, [0.2] * channels)
    data = exported(lively(module), (channels, size, size))
    again = load_module(data)
    x = torch.rand(4, channels, size, size)
    assert torch.allclose(again(x), module(x), rtol=1e-4, atol=1e-4 * module(x).abs().max().item())
    again(x).sum().backward()
    assert all(p.grad is not None for p in again.parameters())
    wanted = sum(isinstance(part, (nn.Linear, nn.Conv2d)) for part in module.modules())
    assert sum(isinstance(part, (nn.Linear, nn.Conv2d)) for part in again.modules()) == wanted


def test_trained_batch_norms_become_layers_and_the_normalisation_stays():
    module = load_module(exported(lively(copy.deepcopy(MODELS["batch norms"])), (3, 8, 8)))
    assert [type(m).__name__ for m in module.children()] == [
        "Conv2d", "ReLU", "Conv2d", "ReLU", "Conv2d", "Flatten", "Linear", "ReLU", "Linear"]
    kept = [b.flatten().tolist() for b in module.buffers()]
    assert pytest.approx(kept[0]) == [-0.4, -0.5, -0.6] or pytest.approx(kept[0]) == [5, 4, 10 / 3]
    assert len(kept) == 4, "input normalisation, and the batch norm between a ReLU and a padded convolution"


def test_grafted_activations_come_back_as_they_were():
    original = MODELS["grafted"]
    module = load_module(exported(original, (3, 8, 8)))
    found = [b for b in module.buffers()]
    for layer in (original[1], original[5]):
        for buffer in layer.buffers():
            assert any(torch.equal(buffer, b.reshape(buffer.shape)) for b in found if b.numel() == buffer.numel())
    assert not any(isinstance(p, nn.Parameter) for p in found)


def test_double_precision():
    assert_same(exported(nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 2)).double(), (5,)))


def test_trains():
    module = load_module(exported(lively(copy.deepcopy(MODELS["residual"])), (3, 8, 8)))
    assert not module.training and copy.deepcopy(module).meta["input_shape"] == (3, 8, 8)
    x = torch.rand(16, 3, 8, 8)
    losses = []
    for _ in range(5):
        losses.append(module.train()(x).square().mean())
        for parameter, gradient in zip(module.parameters(), torch.autograd.grad(losses[-1], module.parameters()),
                                       strict=True):
            parameter.data -= 0.001 * gradient
    assert losses[-1] < losses[0]


def model_of(nodes, weights: dict[str, np.ndarray], shape, out) -> bytes:
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(np.asarray(v, np.float32 if np.asarray(v).dtype.kind == "f" else np.int64), k)
         for k, v in weights.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                             ir_version=8).SerializeToString()


RANDOM = np.random.default_rng(0)
LAYOUTS = {
    # name -> (nodes, weights, input shape, output shape)
    "acas": ([("Sub", ["input", "m"], "s"), ("Flatten", ["s"], "f"), ("MatMul", ["f", "w"], "h"),
              ("Add", ["h", "b"], "a"), ("Relu", ["a"], "out")],
             {"m": RANDOM.normal(size=(1, 1, 1, 5)), "w": RANDOM.normal(size=(5, 7)), "b": RANDOM.normal(size=7)},
             (1, 1, 1, 5), (1, 7)),
    "no batch axis": ([("MatMul", ["input", "w"], "h"), ("Relu", ["h"], "r"), ("Mul", ["r", "s"], "out")],
                      {"w": RANDOM.normal(size=(5, 7)), "s": RANDOM.normal(size=7)}, (5,), (7,)),
    "rows joined": ([("Relu", ["input"], "r"), ("Concat", ["input", "r"], "j"), ("Transpose", ["j"], "t"),
                     ("MatMul", ["t", "w"], "out")], {"w": RANDOM.normal(size=(2, 3))}, (1, 4), (4, 3)),
    "two images": ([("Conv", ["input", "w"], "c"), ("Relu", ["c"], "r"), ("ReduceSum", ["r", "axes"], "out")],
                   {"w": RANDOM.normal(size=(3, 2, 3, 3)), "axes": np.array([0, 2])}, (2, 2, 5, 5), (1, 3, 1, 3)),
    "output without batch": ([("Gemm", ["input", "w"], "g"), ("Squeeze", ["g", "axes"], "out")],
                             {"w": RANDOM.normal(size=(4, 3)), "axes": np.array([0])}, (1, 4), (3,)),
    "swapped": ([("Transpose", ["input"], "t"), ("Reshape", ["t", "shape"], "f"), ("MatMul", ["f", "w"], "out")],
                {"shape": np.array([1, 12]), "w": RANDOM.normal(size=(12, 2))}, (1, 3, 4), (1, 2)),
    "constant": ([("Mul", ["input", "z"], "m"), ("Concat", ["m", "k"], "out")],
                 {"z": np.zeros(3), "k": RANDOM.normal(size=(1, 2))}, (1, 3), (1, 5)),
}
ATTRIBUTES = {"Concat": {"axis": 0}, "Transpose": {"perm": [1, 0]}}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(name):
    nodes, weights, shape, out = LAYOUTS[name]
    made = []
    for kind, inputs, output in nodes:
        attributes = dict(ATTRIBUTES.get(kind, {}))
        if name == "swapped" and kind == "Transpose":
            attributes = {"perm": [0, 2, 1]}
        if name == "constant" and kind == "Concat":
            attributes = {"axis": 1}
        made.append(helper.make_node(kind, inputs, [output], **attributes))
    assert_same(model_of(made, weights, shape, out))


def test_names_are_those_of_the_nodes():
    nodes = [helper.make_node("Gemm", ["input", "w"], ["12"]), helper.make_node("Relu", ["12"], ["/layer.1/Relu:0"]),
             helper.make_node("Gemm", ["/layer.1/Relu:0", "v"], ["forward"]),
             helper.make_node("Relu", ["forward"], ["/layer_1/Relu:0"]), helper.make_node("Identity",
                                                                                         ["/layer_1/Relu:0"], ["out"])]
    weights = {"w": RANDOM.normal(size=(4, 3)), "v": RANDOM.normal(size=(3, 3))}
    module = load_module(model_of(nodes, weights, (1, 4), (1, 3)))
    assert [name for name, _ in module.named_children()] == ["n12", "layer_1_Relu_0", "forward_", "layer_1_Relu_0_"]
    assert module(torch.zeros(2, 4)).shape == (2, 3)


def test_a_bias_becomes_the_layer_s():
    nodes, weights, shape, out = LAYOUTS["acas"]
    module = load_module(model_of([helper.make_node(k, i, [o]) for k, i, o in nodes], weights, shape, out))
    assert {name for name, _ in module.named_parameters()} == {"a.weight", "a.bias"}
    assert np.allclose(module.a.bias.detach().numpy(), weights["b"].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Strange(Op):
    def output_shape(self, *shapes):
        return shapes[0]

    def evaluate(self, *xs):
        return xs[0]

    def interval(self, *inputs):
        return inputs[0]


def test_refusals_name_the_culprit():
    network = load_network(EXAMPLES[0])
    graph = network.graph
    odd = replace(graph, nodes=(*graph.nodes, Node("odd_one", Strange(), (graph.output,), (1, 10))), output="odd_one")
    with pytest.raises(UnsupportedOperator, match=r"'odd_one': Strange .* accepted are Linear"):
        to_module(replace(network, graph=odd))
    with pytest.raises(InvalidInput, match="path of an ONNX file or its bytes, got int"):
        load_module(3)
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_module("/no/such/net.onnx")
