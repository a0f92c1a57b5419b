"""Points lie in their boxes, corners follow gradients, and the running error covers float32 executions."""

import pytest
import torch

from benchmarks.soundness.sampling import (
    float32_error,
    float32_numbers,
    random_box,
    random_points,
    steepest_corners,
)
from tests.verify.bounds.networks import ALL, affine


@pytest.mark.parametrize("seed", range(10))
def test_points_are_inside(seed):
    generator = torch.Generator().manual_seed(seed)
    box = random_box((1, 5), generator)
    wide = type(box)(box.lower.double(), box.upper.double())
    points = random_points(box, 40, generator)
    assert bool(wide.contains(points).all()) and bool((points[0] == wide.lower[0]).all())
    single = float32_numbers(points, box)
    assert bool(wide.contains(single).all()) and torch.equal(single, single.float().double())


def test_steepest_corners_of_an_affine_network_are_its_extremes():
    graph, generator = affine(), torch.Generator().manual_seed(0)
    box = random_box(graph.input.shape, generator)
    corners = steepest_corners(graph, box, random_points(box, 20, generator), generator)
    values, sampled = graph.evaluate(corners), graph.evaluate(random_points(box, 500, generator))
    assert len(corners) == 40 and bool((values.amax(0) >= sampled.amax(0) - 1e-9).any())


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_within_the_running_error(name):
    graph, generator = ALL[name](3), torch.Generator().manual_seed(1)
    x = float32_numbers(random_points(random_box(graph.input.shape, generator), 30, generator),
                        random_box(graph.input.shape, torch.Generator().manual_seed(1)))
    error = float32_error(graph, x)[graph.output]
    low = graph.to(dtype=torch.float32).evaluate(x.float()).double()
    assert bool(((low - graph.evaluate(x)).abs() <= error).all())
    if name == "mlp":
        assert 0 < float(error.max()) < 1e-3
