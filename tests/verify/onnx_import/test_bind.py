"""Models take the places of declared networks, or are refused by declaration."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from tests.verify.onnx_import.models import constant, model
from tests.verify.vnnlib.v2.texts import HEADER, box, network, query, tensor
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import import from_bytes
from verify.onnx_import.bind import bound
from verify.vnnlib import parse_spec


def layer(seed=0, size=2, elem=TensorProto.FLOAT, hidden=3):
    rng, dtype = np.random.default_rng(seed), np.float64 if elem == TensorProto.DOUBLE else np.float32
    weights = [constant("w", rng.normal(size=(size, hidden)), dtype),
               constant("v", rng.normal(size=(hidden, size)), dtype)]
    nodes = [helper.make_node("MatMul", ["x", "w"], ["scores"]), helper.make_node("Relu", ["scores"], ["active"]),
             helper.make_node("MatMul", ["active", "v"], ["y"])]
    made = model(nodes, (1, size), weights, elem=elem)
    return from_bytes(made.SerializeToString(), f"net{seed}.onnx")


def two_inputs():
    nodes = [helper.make_node("Sub", ["a", "b"], ["y"]), helper.make_node("Add", ["a", "b"], ["z"])]
    return from_bytes(model(nodes, (1, 2), inputs=("a", "b"), outputs=("y", "z")).SerializeToString(), "two.onnx")


def spec(networks: str, bounded: str = box()):
    return parse_spec(query("", networks, bounded), "q.vnnlib")


PAIR = network() + network("g", "U", "V")
SAME = network() + network("g", "U", "V", "(equal-to f)")


def test_a_plain_network_stays_what_it_is():
    net = layer()
    assert bound(net, spec(network())) is net and bound({"f": net}, spec(network())) is net
    plain = parse_spec("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (<= X_0 1))(assert (>= X_0 0))")
    assert bound(net, plain) is net and bound({"any": net}, plain) is net
    with pytest.raises(InvalidInput, match="names no networks and takes one model, 2 are given"):
        bound({"f": net, "g": net}, plain)


def test_several_networks():
    f, g = layer(0), layer(1)
    both = bound({"f": f, "g": g}, spec(PAIR, box() + box("U")))
    assert [part.name for part in both.parts] == ["f", "g"] and both.input_shape == (4,)
    copied = bound(f, spec(SAME, box() + "(assert (and (== U[0,0] X[0,0]) (== U[0,1] X[0,1])))"))
    x = torch.randn(3, 2, dtype=torch.float64)
    y = copied.graph.evaluate(x)
    assert copied.input_shape == (2,) and torch.equal(y[:, :2], y[:, 2:])


def test_several_inputs_and_outputs_in_the_order_of_the_model():
    text = f"(declare-network f {tensor('input', 'A')} {tensor('input', 'B')} {tensor('output', 'Y')} " \
           f"{tensor('output', 'Z')})"
    net = bound(two_inputs(), parse_spec(HEADER + text + box("A") + box("B")))
    x = torch.tensor([[1.0, 2.0, 0.5, 4.0]], dtype=torch.float64)
    assert net.graph.evaluate(x).tolist() == [[0.5, -2.0, 1.5, 6.0]]


def hidden(shape="[1,3]", value="active", dtype="real"):
    h = tensor("hidden", "H", shape, dtype, f'"{value}"')
    return f"(declare-network f {tensor('input', 'X', dtype=dtype)} {h} {tensor('output', 'Y', dtype=dtype)})\n"


def test_hidden_values():
    net = bound(layer(), spec(hidden()))
    assert [port.name for port in net.outputs] == ["y", "active"] and net.output_shape == (5,)


@pytest.mark.parametrize(("models", "networks", "bounds", "message"), [
    ({"f": 0}, PAIR, box() + box("U"), "q.vnnlib:3: no model is given for the network g; expected --network g=FILE"),
    ({"f": 0, "g": 0, "h": 0}, PAIR, box() + box("U"), "a model is given for 'h', which is not declared; declared: f"),
    ({"f": 0, "g": 0}, SAME, box() + box("U"), "q.vnnlib:3: g is equal-to f and takes no model of its own"),
    (0, PAIR, box() + box("U"), "the property declares 2 networks with models of their own (f, g)"),
    (0, network(shape="[2,1]"), "", "q.vnnlib:2: X is declared with shape [2, 1]; 'x' of net0.onnx has [1, 2]"),
    (0, hidden("[3]"), box(), "q.vnnlib:2: H is declared with shape [3]; 'active' of net0.onnx has [1, 3]"),
    (0, hidden(value="actve"), box(), "net0.onnx: no node computes a value named 'actve'"),
    (0, f"(declare-network f {tensor('input', 'X')} {tensor('input', 'U')} {tensor('output', 'Y')})\n",
     box() + box("U"), "q.vnnlib:2: f declares 2 inputs; net0.onnx has 1: x"),
    (0, f"(declare-network f {tensor('input', 'X')} {tensor('output', 'Y')} {tensor('output', 'Z')})\n", box(),
     "q.vnnlib:2: f declares 2 outputs; net0.onnx has 1: y"),
    (0, network(dtype="float64"), box(), "q.vnnlib:2: X is declared as float64; 'x' of net0.onnx has type float32"),
    (0, hidden(dtype="float64"), box(), "X is declared as float64"),
])
def test_models_refused(models, networks, bounds, message):
    given = {name: layer(seed) for name, seed in models.items()} if isinstance(models, dict) else layer(models)
    if "[2,1]" in networks:
        bounds = "(assert (and (<= 0.0 X[0,0]) (<= X[0,0] 1.0) (<= 0.0 X[1,0]) (<= X[1,0] 1.0)))"
    with pytest.raises(InvalidInput) as caught:
        bound(given, spec(networks, bounds))
    assert message in str(caught.value)


def test_real_fits_every_type_and_others_only_their_own():
    double = layer(elem=TensorProto.DOUBLE)
    assert bound(double, spec(network())) is double and bound(double, spec(network(dtype="float64"))) is double
    with pytest.raises(InvalidInput, match="X is declared as float32"):
        bound(double, spec(network(dtype="float32")))


def test_isomorphism_is_checked():
    declared = spec(network() + network("g", "U", "V", "(isomorphic-to f)"), box() + box("U"))
    assert bound({"f": layer(0), "g": layer(1)}, declared).input_shape == (4,)
    with pytest.raises(InvalidInput, match=r"g \(net1.onnx\) and f \(net0.onnx\) are not isomorphic"):
        bound({"f": layer(0), "g": layer(1, hidden=4)}, declared)


def test_shapes_are_errors_of_shape():
    with pytest.raises(ShapeMismatch):
        bound(layer(), spec(hidden("[3]")))
