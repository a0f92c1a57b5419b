"""The ground truth itself: hand-computed networks, and agreement with sampling and with its own evaluation."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.soundness.exact import ExactNetwork, Polytope, find_point
from verify.graph import Graph, Node
from verify.ops import Add, Constant, Input, Linear, Relu, Tanh
from verify.query import Case, InputBox, LinearConstraint


def tensor(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def hat() -> Graph:
    """y = relu(x) - 2 relu(x - 1): rises to 1 at x = 1 and falls again."""
    return Graph((
        Node("x", Input((1,)), (), (1,)), Node("z", Linear(tensor([[1.0], [1.0]]), tensor([0.0, -1.0])), ("x",), (2,)),
        Node("r", Relu(), ("z",), (2,)), Node("y", Linear(tensor([[1.0, -2.0]])), ("r",), (1,)),
    ), "y")


def case(lower, upper, *rows: LinearConstraint) -> Case:
    return Case(InputBox.from_floats(np.array(lower), np.array(upper)), (rows,))


def at_least(threshold: Fraction, strict: bool = False) -> LinearConstraint:
    """Unsafe where y_0 >= threshold."""
    return LinearConstraint(((0, Fraction(-1)),), threshold, strict=strict)


def test_the_peak_of_a_hat_is_found_exactly():
    network = ExactNetwork.of(hat())
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(1)))) == [1]
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(1), strict=True))) is None
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(10**30 + 1, 10**30)))) is None
    assert find_point(network, case([-1.0], [0.5], at_least(Fraction(2, 3)))) is None
    point = find_point(network, case([-1.0], [3.0], at_least(Fraction(2, 3))))
    assert network.evaluate(point)[0] >= Fraction(2, 3)


def test_conjunctions_inputs_and_points():
    network = ExactNetwork.of(hat())
    right = LinearConstraint((), Fraction(3, 2), ((0, Fraction(-1)),))
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(1, 2)), right)) == [Fraction(3, 2)]
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(51, 100)), right)) is None
    assert find_point(network, case([1.0], [1.0], at_least(Fraction(1)))) == [1]
    assert find_point(network, case([2.0], [2.0], at_least(Fraction(1)))) is None
    assert find_point(network, case([2.0], [1.0], at_least(Fraction(-9)))) is None
    assert find_point(network, case([0.0], [1.0])) is not None


def test_cutting_a_cube():
    cube = Polytope.box([Fraction(0)] * 3, [Fraction(1)] * 3)
    corner = cube.cut(np.array([-1, -1, -1, 1], dtype=object))
    assert len(corner.vertices) == 4
    hexagon = cube.cut(np.array([2, 2, 2, -3], dtype=object)).cut(np.array([-2, -2, -2, 3], dtype=object))
    assert len(hexagon.vertices) == 6
    assert hexagon.center() == [Fraction(1, 2)] * 3
    assert not cube.cut(np.array([1, 0, 0, -2], dtype=object)).vertices
    face = cube.cut(np.array([-1, 0, 0, 0], dtype=object))
    assert len(face.vertices) == 4 and len(face.cut(np.array([0, 2, 0, -1], dtype=object)).vertices) == 4


@pytest.mark.parametrize("seed", range(20))
def test_pieces_cover_the_box_and_carry_the_network(seed):
    rng = np.random.default_rng(seed)
    w1, w2 = rng.standard_normal((4, 2)), rng.standard_normal((4, 4))
    graph = Graph((
        Node("x", Input((2,)), (), (2,)), Node("a", Linear(tensor(w1), tensor(rng.standard_normal(4))), ("x",), (4,)),
        Node("b", Relu(), ("a",), (4,)), Node("c", Linear(tensor(w2)), ("b",), (4,)),
        Node("d", Relu(), ("c",), (4,)), Node("e", Add((1, -1)), ("d", "b"), (4,)),
    ), "e")
    network = ExactNetwork.of(graph)
    points = rng.uniform(-1, 1, (40, 2))
    values = graph.values(torch.from_numpy(points))["e"].numpy()
    for x, y in zip(points, values, strict=True):
        exact = network.evaluate([Fraction(v) for v in x])
        assert np.allclose([float(v) for v in exact], y, atol=1e-12)
    # The sampled minimum is never below the exact one, and a point at the sampled value is always found.
    best = values[:, 0].min()
    below = LinearConstraint(((0, Fraction(1)),), -Fraction(best) - Fraction(1, 10**9))
    point = find_point(network, case([-1.0, -1.0], [1.0, 1.0], below))
    assert point is not None and network.evaluate(point)[0] <= best + 1e-9
    far = LinearConstraint(((0, Fraction(1)),), Fraction(1000))
    assert find_point(network, case([-1.0, -1.0], [1.0, 1.0], far)) is None


def test_constants_stay_constants():
    shift = Node("k", Constant(tensor([5.0])), (), (1,))
    graph = Graph((*hat().nodes, shift, Node("s", Add((1, 1)), ("y", "k"), (1,))), "s")
    network = ExactNetwork.of(graph)
    assert network.evaluate([Fraction(1)]) == [6]
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(6)))) == [1]
    assert find_point(network, case([-1.0], [3.0], at_least(Fraction(601, 100)))) is None


def test_other_activations_are_refused():
    with pytest.raises(TypeError, match="Tanh"):
        ExactNetwork.of(Graph((Node("x", Input((1,)), (), (1,)), Node("y", Tanh(), ("x",), (1,))), "y"))
