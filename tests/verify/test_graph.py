"""The graph refuses disorder and evaluates a small residual network that one can check on paper."""

import pytest
import torch

from verify.errors import BrokenInvariant
from verify.graph import Graph, Node
from verify.ops import Add, Affine, Conv, Input, Linear, Relu, Tanh


def node(name, op, *inputs, shape=(2,)):
    return Node(name, op, inputs, shape)


def residual() -> Graph:
    """y = relu(W x + b) + x with W = [[1, -1], [0, 2]], b = (0, -1); `dead` is read by nobody."""
    weight = torch.tensor([[1.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    linear = Linear(weight, torch.tensor([0.0, -1.0], dtype=torch.float64))
    return Graph((
        node("x", Input((2,))), node("pre", linear, "x"), node("post", Relu(), "pre"), node("dead", Relu(), "x"),
        node("y", Add((1, 1)), "post", "x"),
    ), "y")


def test_hand_computed_values():
    graph = residual()
    x = torch.tensor([[3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    assert graph.evaluate(x).tolist() == [[5.0, 2.0], [0.0, 0.0]]
    values = graph.values(x, ("pre",))
    assert set(values) == {"pre", "y"} and values["pre"].tolist() == [[2.0, 1.0], [0.0, -1.0]]


def test_structure():
    graph = residual()
    assert graph.input.name == "x" and [n.name for n in graph.nonlinear] == ["post", "dead"]
    assert graph.consumers["x"] == ("pre", "dead", "y") and graph.consumers["y"] == ()
    assert graph.ancestors("pre") == {"x", "pre"}
    assert [n.name for n in graph.pruned().nodes] == ["x", "pre", "post", "y"]
    assert graph.input_shapes(graph["y"]) == ((2,), (2,))


@pytest.mark.parametrize("nodes", [
    (node("r", Relu(), "x"), node("x", Input((2,)))),
    (node("x", Input((2,))), node("x", Relu(), "x")),
    (node("x", Input((2,))), node("r", Relu(), "missing")),
])
def test_disorder_is_refused(nodes):
    with pytest.raises(BrokenInvariant, match="out of order, repeated, or reads unknown"):
        Graph(nodes, "x")


def test_needs_one_input_and_its_output():
    with pytest.raises(BrokenInvariant, match="exactly one input"):
        Graph((node("x", Input((2,))), node("z", Input((2,)))), "x")
    with pytest.raises(BrokenInvariant, match="exactly one input"):
        Graph((node("x", Input((2,))),), "y")


def test_to_returns_another_graph():
    graph = residual()
    narrow = graph.to(dtype=torch.float32)
    assert graph.to(dtype=torch.float64) is graph
    assert narrow.dtype == torch.float32 and narrow["pre"].op.weight.dtype == torch.float32
    assert graph["pre"].op.weight.dtype == torch.float64


def test_neurons_that_read_nothing_are_not_counted():
    scale = torch.tensor([1.0, 0.0])
    graph = Graph((node("x", Input((2,))), node("kept", Affine(scale), "x"), node("all", Relu(), "x"),
                   node("one", Relu(), "kept"), node("smooth", Tanh(), "kept"),
                   node("y", Add((1, 1)), "all", "one")), "y")
    assert [graph.neurons(graph[name]) for name in ("all", "one", "smooth")] == [2, 1, 2]
    conv = Conv(torch.tensor([[[[0.0]]], [[[1.0]]], [[[0.0]]]]))
    image = Graph((node("x", Input((1, 1, 4, 5)), shape=(1, 1, 4, 5)), node("z", conv, "x", shape=(1, 3, 4, 5)),
                   node("y", Relu(), "z", shape=(1, 3, 4, 5))), "y")
    assert image.neurons(image["y"]) == 20
