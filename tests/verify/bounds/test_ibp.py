import pytest
import torch

from tests.verify.bounds.laws import assert_encloses, cases
from tests.verify.bounds.networks import ALL, boxes, mlp
from verify.bounds.ibp import ibp
from verify.graph import Graph, Node
from verify.ops import Input, Linear, Relu
from verify.sets import Interval


@pytest.mark.parametrize("name", ALL)
def test_every_node_stays_in_its_interval(name):
    for what, graph, box in cases([name], seeds=3):
        assert_encloses(graph, box, ibp(graph, box), what)


def test_by_hand():
    weight = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    nodes = (Node("x", Input((2,)), (), (2,)), Node("z", Linear(weight, None), ("x",), (1,)),
             Node("y", Relu(), ("z",), (1,)))
    box = Interval(torch.tensor([[0.0, -1.0]], dtype=torch.float64), torch.tensor([[1.0, 1.0]], dtype=torch.float64))
    bounds = ibp(Graph(nodes, "y"), box)
    assert bounds["z"].lower.item() == pytest.approx(-2, abs=1e-12)
    assert bounds["z"].upper.item() == pytest.approx(3, abs=1e-12)
    assert bounds["y"].lower.item() == 0


def test_widths_have_the_right_gradients():
    graph = mlp(1)
    box = boxes(graph, 1)[:2]
    low, high = box.lower.clone().requires_grad_(), box.upper.clone().requires_grad_()

    def width(low, high):
        return ibp(graph, Interval(low, high))[graph.output].width

    assert torch.autograd.gradcheck(width, (low, high), eps=1e-6, atol=1e-5)


def test_a_nan_input_bound_never_gives_a_bound():
    graph = mlp()
    box = boxes(graph)[:1]
    broken = Interval(box.lower * float("nan"), box.upper)
    lower = ibp(graph, broken)[graph.output].lower
    assert not bool((lower > -torch.inf).any())
