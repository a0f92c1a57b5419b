import pytest
import torch

from bab.tighten import tighten, tightening_flops
from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.networks import ALL, boxes
from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.bounds.dual import DualProblem
from verify.bounds.root import compact_root
from verify.ops import Relu


def root_of(name, seed):
    graph = ALL[name](seed)
    box = boxes(graph, seed)[1:2]
    query = query_of(graph, box, [[constraint([(0, 1)], 0)]])
    root = compact_root(query.graph, query.interval(), torch.from_numpy(query.varying))
    return query, root.network.to(dtype=torch.float64)


def pre_activations(query, network, count=4000):
    """(count, u): the unstable neurons' pre-activations at random points of the box."""
    graph = query.graph
    points = query.interval().sample(count, torch.Generator().manual_seed(0))
    names = [graph[layer.node].inputs[0] for layer in network.layers]
    values = graph.values(points, names)
    return torch.cat([values[name].flatten(1)[:, layer.neurons] for name, layer in
                      zip(names, network.layers, strict=True)], 1)


@pytest.mark.parametrize("name", ["mlp", "residual", "conv", "joined"])
@pytest.mark.parametrize("seed", range(4))
def test_bounds_hold_for_every_point_of_the_domain_and_are_never_looser(name, seed):
    query, network = root_of(name, seed)
    if not network.unstable or not network.relu_only:
        pytest.skip("only unstable ReLUs are split")
    z = pre_activations(query, network)
    problem = DualProblem.of(network)
    generator = torch.Generator().manual_seed(seed)
    n, u = 6, network.unstable
    signs = torch.zeros(n, u, dtype=torch.int8)
    for row in range(n):
        # Signs that at least one sampled point has, so that the domain is not empty.
        point = z[int(torch.randint(z.shape[0], (1,), generator=generator))]
        chosen = torch.randperm(u, generator=generator)[: 1 + row % 3]
        signs[row, chosen] = point[chosen].sign().to(torch.int8)
    lower, upper = network.lower.expand(n, -1), network.upper.expand(n, -1)
    found = tighten(problem, lower, upper, signs, torch.full((n,), -1))
    assert bool((found.lower >= lower).all()) and bool((found.upper <= upper).all())
    assert bool((found.gap <= 0).all())
    for row in range(n):
        inside = ((signs[row] == 0) | (signs[row] * z >= 0)).all(1)
        assert bool(inside.any())
        assert bool((z[inside] >= found.lower[row]).all()) and bool((z[inside] <= found.upper[row]).all())


def test_only_layers_above_the_split_are_touched():
    _, network = root_of("mlp", 1)
    problem = DualProblem.of(network)
    lower, upper = network.lower.unsqueeze(0), network.upper.unsqueeze(0)
    signs = torch.zeros(1, network.unstable, dtype=torch.int8)
    signs[0, 0] = 1
    last = len(network.layers) - 1
    same = tighten(problem, lower, upper, signs, torch.tensor([last]))
    assert torch.equal(same.lower, lower) and torch.equal(same.upper, upper)
    assert tightening_flops(problem) > 0


def test_contradicting_bounds_show_as_a_gap():
    """x in [-1, 1], y1 = relu(x), z2 = y1 - 1/2. With y1 fixed to 0, z2 is -1/2, below the claimed -0.4."""
    one = torch.ones(1, 1, dtype=torch.float64)
    layers = (
        CompactLayer("first", Relu(), torch.tensor([0]), 1, one, one[0] * 0, one[0] * 0, -one[0], one[0]),
        CompactLayer("second", Relu(), torch.tensor([0]), 2, torch.tensor([[0.0, 1.0]], dtype=torch.float64),
                     -one[0] / 2, one[0] * 0, -one[0] / 2, one[0] / 2),
    )
    network = CompactNetwork(torch.tensor([0]), -one[0], one[0], layers, torch.zeros(1, 3, dtype=torch.float64),
                             one[0], one[0] * 0)
    lower, upper = torch.tensor([[-1.0, -0.4]], dtype=torch.float64), torch.tensor([[1.0, 0.5]], dtype=torch.float64)
    found = tighten(DualProblem.of(network), lower, upper, torch.tensor([[-1, 0]], dtype=torch.int8), torch.tensor([0]))
    assert float(found.gap) == pytest.approx(0.1, abs=1e-9)
    assert torch.equal(found.lower, lower) and torch.equal(found.upper, upper)
