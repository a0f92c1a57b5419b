import numpy as np
import pytest
import torch

from tests.verify.pairs.toys import exact_largest, layers, moved, network, toy_pair, unit_box
from verify.pairs.network import pair
from verify.pairs.parts import Parts
from verify.query import InputBox


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_fall_to_the_exact_largest_difference(seed, coupled):
    first = layers(seed)
    second = moved(first, seed)
    both, largest = pair(network(first), network(second), coupled=coupled), float(exact_largest(first, second))
    root = Parts.of(both, unit_box())
    assert root.bounds.max() >= largest
    turns = iter([False] * 12 + [True] * 100)
    cut = root.cut(0.0, lambda: next(turns))
    assert bool((cut.bounds <= root.bounds).all()) and largest <= cut.bounds.max() <= 1.02 * largest
    assert root.cut(root.bounds.max(), lambda: False) is root, "enough at once"
    assert bool((cut.parts.width.sum(0) == 2).all()), "the parts cover the box"
    turns = iter([False] * 2 + [True] * 100)
    assert bool((cut.cut(0.0, lambda: next(turns)).bounds <= cut.bounds).all())


def test_bounds_hold_for_every_output_at_samples():
    nets = toy_pair(3, inputs=3)
    both, box = pair(*nets), InputBox.from_floats(-np.ones(3), np.array([1.0, -1.0, 2.0]))  # the second is fixed
    turns = iter([False] * 8 + [True] * 100)
    bounds = Parts.of(both, box).cut(0.0, lambda: next(turns)).bounds
    x = box.interval((1, 3)).sample(4000, torch.Generator().manual_seed(0))
    gap = (nets[0].graph.evaluate(x) - nets[1].graph.evaluate(x)).abs().flatten(1).amax(0).numpy()
    assert bool((gap <= bounds).all()) and bool((bounds <= 2 * gap + 0.2).all())


def test_a_point_cannot_be_cut():
    both = pair(*toy_pair(2))
    point = InputBox.from_floats(np.array([0.5]), np.array([0.5]))
    assert np.isfinite(Parts.of(both, point).cut(0.0, lambda: False).bounds).all()
    tiny = InputBox.from_floats(np.array([0.5]), np.array([np.nextafter(0.5, 1)]))
    assert np.isfinite(Parts.of(both, tiny).cut(0.0, lambda: False).bounds).all()
