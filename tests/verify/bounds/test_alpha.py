import pytest
import torch

from tests.verify.bounds.laws import assert_below, assert_encloses, cases, rounding
from tests.verify.bounds.networks import ALL, boxes, directions, low_points, mlp
from verify.bounds.alpha import alpha_crown, optimise_rows
from verify.bounds.crown import crown, crown_bounds, output_form
from verify.relaxations import Relaxer


@pytest.mark.parametrize("name", ALL)
def test_sound_and_never_looser_than_crown(name):
    for what, graph, box in cases([name], seeds=1):
        rows = directions(graph)
        low, charge = low_points(graph, box, rows[0]), rounding(graph, box)
        plain, _ = crown(graph, box, rows, charges=charge)
        for intermediate in (True, False):
            bound, bounds = alpha_crown(graph, box, rows, 6, intermediate=intermediate, charges=charge)
            assert_below(bound, low, what)
            assert_encloses(graph, box, bounds, what, 50)
            assert bool((bound >= plain).all()), what


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum"])
def test_optimisation_helps(name):
    graph = ALL[name](4)
    box = boxes(graph, 4)
    gain = alpha_crown(graph, box, iterations=20)[0] - crown(graph, box)[0]
    assert float(gain.max()) > 1e-2


def test_a_batch_as_large_as_its_rows_keeps_every_box_with_its_own_lines():
    graph = mlp(5)
    box = boxes(graph, 5)[:3]
    rows = directions(graph, 5, 3)
    together, _ = alpha_crown(graph, box, rows, 5)
    for k in range(3):
        alone, _ = alpha_crown(graph, box[k : k + 1], rows, 5)
        assert torch.allclose(together[k], alone[0], rtol=1e-6, atol=1e-6)


def test_returned_slopes_reproduce_the_bound():
    graph = mlp(6)
    box = boxes(graph, 6)
    bounds = crown_bounds(graph, box)
    rows = directions(graph, 6)
    best, relaxer = optimise_rows(graph, box, graph.output, rows, bounds)
    assert isinstance(relaxer, Relaxer)
    again = output_form(graph, bounds, rows, relaxer).minimum(box)
    assert torch.allclose(again, best, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["tanh", "product", "curves"])
def test_tangents_and_planes_are_optimised(name):
    graph = ALL[name](1)
    box = boxes(graph, 1)
    found, plain = alpha_crown(graph, box, iterations=6, intermediate=False)[0], crown(graph, box)[0]
    assert bool((found >= plain).all()) and float((found - plain).max()) > 1e-2


def test_without_anything_to_move_it_is_crown():
    graph = ALL["affine"](1)
    box = boxes(graph, 1)
    assert torch.equal(alpha_crown(graph, box, iterations=3, intermediate=False)[0], crown(graph, box)[0])
