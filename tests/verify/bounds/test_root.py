from dataclasses import replace

import pytest
import torch

from tests.verify.bounds.laws import assert_below, assert_encloses, roots, rounding, row_minima, varying, with_rows
from tests.verify.bounds.networks import ALL, RELU, Builder, boxes, directions, low_points, mlp
from tests.verify.bounds.test_compact import compact_values
from verify.bounds.ascent import AscentOptions
from verify.bounds.crown import crown
from verify.bounds.root import both_sides, compact_root, drop_stable, refine, rigorous_rows
from verify.errors import OutOfResources
from verify.ops import Linear, Relu
from verify.sets import Interval

FEW = AscentOptions(6, lr_alpha=0.25)


def claim(network, options=None):
    return rigorous_rows(network, network.row_weight, network.row_bias, network.row_error, options)


@pytest.mark.parametrize("name", ALL)
def test_no_point_is_below_a_bound(name):
    for what, graph, box, root in roots([name]):
        low = row_minima(graph, box)
        assert_below(root.row_lower, low, what)
        assert_encloses(graph, box, root.bounds, what, 50)
        for network in (root.network, root.network.to(dtype=torch.float64), root.network.to(dtype=torch.float32)):
            refined = refine(network, FEW)
            for stage in (network, refined, drop_stable(network), drop_stable(refined)):
                assert_below(claim(stage, FEW), low, what)


@pytest.mark.parametrize("name", RELU)
def test_equals_the_walk_on_relu_networks(name):
    for what, graph, box, root in roots([name], dtypes=(torch.float64,)):
        bound, bounds = crown(graph, box)
        for node in graph.nonlinear:
            walk, mine = bounds[node.inputs[0]], root.bounds[node.inputs[0]]
            assert torch.allclose(walk.lower, mine.lower, rtol=1e-9, atol=1e-9), what
            assert torch.allclose(walk.upper, mine.upper, rtol=1e-9, atol=1e-9), what
        rows = torch.maximum(bound[0], bounds[graph.output].lower[0])
        assert torch.allclose(root.row_lower, rows, rtol=1e-9, atol=1e-9), what


def test_refined_bounds_are_never_looser_and_hold():
    gained = 0
    for what, graph, box, root in roots(["mlp", "residual", "mixed"]):
        network = root.network
        refined = refine(network, FEW)
        assert bool((refined.lower >= network.lower).all() and (refined.upper <= network.upper).all())
        gained += int((refined.lower > network.lower + 1e-3).sum())
        exact = graph.to(dtype=torch.float64)
        x = box.sample(200).double()
        names = [graph[layer.node].inputs[0] for layer in refined.layers]
        values = exact.values(x, names)
        for layer, name in zip(refined.layers, names, strict=True):
            pre = values[name].flatten(1)[:, layer.neurons]
            assert bool((layer.lower.double() <= pre + 1e-12).all()), what
            assert bool((layer.upper.double() >= pre - 1e-12).all()), what
    assert gained


def test_dropping_stable_relus_changes_nothing_but_the_size():
    for what, _, box, root in roots(["mlp", "residual", "maximum", "conv"], dtypes=(torch.float64,), which=(1, 2)):
        # Made stable on a smaller box: the middle third keeps more neurons on one side.
        network, dropped = root.network, drop_stable(_stabilised(root.network))
        x = box.sample(2000).flatten(1)[:, network.varying]
        rows, pre = compact_values(network, x)
        tight = _stabilised(network)
        inside = ((tight.lower <= pre) & (pre <= tight.upper)).all(1)
        if network.unstable > 2:
            assert dropped.unstable < network.unstable
        kept, _ = compact_values(dropped, x[inside])
        assert torch.allclose(kept, rows[inside], rtol=1e-9, atol=1e-9), what
        assert bool((dropped.row_error >= network.row_error).all())
        for layer in dropped.layers:
            assert bool(((layer.lower < 0) & (layer.upper > 0)).all())
            assert layer.weight.shape == (layer.size, layer.start)


def _stabilised(network):
    """Every other neuron is said to be on one side."""
    layers = []
    for layer in network.layers:
        lower, upper = layer.lower.clone(), layer.upper.clone()
        lower[::3], upper[1::3] = 0.0, 0.0
        layers.append(replace(layer, lower=lower, upper=upper))
    return replace(network, layers=tuple(layers))


def test_chunks_do_not_change_intervals():
    for _, _, _, root in roots(["conv"], dtypes=(torch.float64,), which=(2,)):
        net = root.network
        args = (net, net.row_weight, net.row_bias, net.row_error)
        whole, parts = both_sides(*args), both_sides(*args, chunk=1)
        assert torch.allclose(whole.lower, parts.lower, atol=1e-12)
        assert torch.allclose(whole.upper, parts.upper, atol=1e-12)


def test_memory_and_time_end_by_name():
    graph, box = with_rows(mlp()), boxes(mlp())[2:3]
    with pytest.raises(OutOfResources, match="unstable neurons"):
        compact_root(graph, box, varying(box), memory_bytes=10)
    with pytest.raises(TimeoutError):
        compact_root(graph, box, varying(box), expired=lambda: True)
    network = compact_root(graph, box, varying(box)).network
    assert refine(network, FEW, expired=lambda: True).layers == network.layers


def test_broken_numbers_never_become_bounds():
    graph, box = with_rows(mlp()), boxes(mlp())[2:3]
    network = compact_root(graph, box, varying(box)).network
    for bad in (float("nan"), float("inf"), -float("inf")):
        broken = network.with_rows(network.row_weight * bad, network.row_bias, network.row_error)
        assert not bool((claim(broken, FEW) > -torch.inf).any())
        broken = network.with_rows(network.row_weight, network.row_bias + bad, network.row_error)
        assert not bool((claim(broken, FEW) > -torch.inf).any())


def ill_conditioned(seed):
    """Five float32 layers with weights of sizes 0.1 to 1000 and columns that cancel, on boxes down to a point."""
    generator = torch.Generator().manual_seed(seed)
    b = Builder((1, 3), seed)
    name, i = "x", 3
    for _ in range(4):
        weight = b.draw(8, i) * 10 ** (float(torch.rand(1, generator=generator)) * 4 - 1)
        if i == 8:
            weight[:, ::2] = -weight[:, 1::2]
        name = b.add(Relu(), b.add(Linear(weight.float().double(), (b.draw(8) * 10).float().double()), name))
        i = 8
    center = torch.randn(4, 1, 3, generator=generator)
    radius = torch.tensor([0.0, 1e-6, 1e-4, 1e-2]).reshape(4, 1, 1)
    return b.graph(b.dense(name, 8, 2)).to(dtype=torch.float32), Interval(center - radius, center + radius)


def test_rounding_is_charged_where_it_matters():
    """Without charges many of these bounds are above a value; with them none is."""
    wrong_without = 0
    for seed in range(10):
        graph, batch = ill_conditioned(seed)
        rows = directions(graph, seed)
        low = low_points(graph, batch, rows[0], 32, 8)
        assert_below(crown(graph, batch, rows, charges=rounding(graph, batch))[0], low, f"crown {seed}")
        wrong_without += int((crown(graph, batch, rows)[0].double() > low).sum())
        tail = with_rows(graph)
        for k in range(4):
            box = batch[k : k + 1]
            root = compact_root(tail, box, varying(box))
            assert_below(root.row_lower, row_minima(tail, box), f"root {seed} {k}")
            assert_below(claim(drop_stable(root.network), FEW), row_minima(tail, box), f"dropped {seed} {k}")
    assert wrong_without > 10
