import numpy as np
import pytest
import torch

from tests.verify.pairs.toys import exact_largest, layers, moved, network, toy_pair, unit_box
from verify.pairs.network import pair
from verify.pairs.parts import difference_bounds
from verify.query import InputBox


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_fall_to_the_exact_largest_difference(seed, coupled):
    first = layers(seed)
    second = moved(first, seed)
    both, largest = pair(network(first), network(second), coupled=coupled), float(exact_largest(first, second))
    root = difference_bounds(both, unit_box())
    assert root.max() >= largest
    turns = iter([False] * 12 + [True] * 100)
    cut = difference_bounds(both, unit_box(), 0.0, lambda: next(turns))
    assert bool((cut <= root).all()) and largest <= cut.max() <= 1.02 * largest
    assert difference_bounds(both, unit_box(), root.max(), lambda: False).tolist() == root.tolist(), "enough at once"


def test_bounds_hold_for_every_output_at_samples():
    nets = toy_pair(3, inputs=3)
    both, box = pair(*nets), InputBox.from_floats(-np.ones(3), np.array([1.0, -1.0, 2.0]))  # the second is fixed
    turns = iter([False] * 8 + [True] * 100)
    bounds = difference_bounds(both, box, 0.0, lambda: next(turns))
    x = box.interval((1, 3)).sample(4000, torch.Generator().manual_seed(0))
    gap = (nets[0].graph.evaluate(x) - nets[1].graph.evaluate(x)).abs().flatten(1).amax(0).numpy()
    assert bool((gap <= bounds).all()) and bool((bounds <= 2 * gap + 0.2).all())


def test_a_point_cannot_be_cut():
    both = pair(*toy_pair(2))
    point = InputBox.from_floats(np.array([0.5]), np.array([0.5]))
    assert np.isfinite(difference_bounds(both, point, 0.0, lambda: False)).all()
    tiny = InputBox.from_floats(np.array([0.5]), np.array([np.nextafter(0.5, 1)]))
    assert np.isfinite(difference_bounds(both, tiny, 0.0, lambda: False)).all()
