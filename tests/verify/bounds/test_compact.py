import pytest
import torch

from tests.verify.bounds.laws import read_by, roots
from tests.verify.bounds.networks import ALL, boxes, mlp
from verify.bounds.compact import Compactor
from verify.bounds.root import compact_root
from verify.ops import Relu
from verify.sets import entries


def compact_values(network, x):
    """Rows (k, r) and pre-activations (k, u) of the collapsed network at the varying inputs x (k, i), in float64."""
    v, pre = x.double(), []
    for layer in network.layers:
        z = v @ layer.weight.double().T + layer.bias.double()
        pre.append(z)
        read = [z] if layer.reads is None else [z[:, each] for each in layer.reads]
        v = torch.cat([v, layer.op.evaluate(*read)], 1)
    rows = v @ network.row_weight.double().T + network.row_bias.double()
    return rows, (torch.cat(pre, 1) if pre else v[:, :0])


@pytest.mark.parametrize("name", ALL)
def test_the_collapsed_network_is_the_network(name):
    """Within its own error: rows, in every precision; pre-activations lie in their bounds."""
    for what, graph, box, root in roots([name]):
        exact = graph.to(dtype=torch.float64)
        x = box.sample(60).double()
        truth = exact.evaluate(x)
        for network in (root.network, root.network.to(dtype=torch.float32), root.network.to(dtype=torch.float64)):
            rows, pre = compact_values(network, x.flatten(1)[:, network.varying])
            # The errors of earlier layers pass through later ones; the first row of every layer carries only its own.
            if not network.layers:
                assert bool(((rows - truth).abs() <= network.row_error.double() + 1e-12).all()), what
            assert torch.allclose(rows, truth, rtol=1e-3, atol=1e-3 * float(truth.abs().max() + 1)), what
            spare = 1e-4 * (1 + pre.abs()) if graph.dtype == torch.float32 or network is not root.network else 1e-10
            assert bool((network.lower.double() <= pre + spare).all() and (pre - spare <= network.upper.double()).all())


def test_each_row_is_exact_within_its_error_at_the_true_activations():
    """z = W v + b +- error with v the network's own activations (float64)."""
    for what, graph, box, root in roots(dtypes=(torch.float32,), which=(1, 2)):
        exact = graph.to(dtype=torch.float64)
        x = box.sample(40).double()
        wanted = [layer.node for layer in root.network.layers]
        values = exact.values(x, [*wanted, *(read for name in wanted for read in graph[name].inputs)])
        for network in (root.network, root.network.to(dtype=torch.float64).to(dtype=torch.float32)):
            v = x.flatten(1)[:, network.varying]
            for layer in network.layers:
                truth = read_by(layer, [entries(values[read], 1) for read in graph[layer.node].inputs])
                z = v @ layer.weight.double().T + layer.bias.double()
                assert bool(((z - truth).abs() <= layer.error.double() + 1e-13).all()), what
                assert bool((layer.lower.double() <= truth).all() and (truth <= layer.upper.double()).all()), what
                v = torch.cat([v, entries(values[layer.node], 1)[:, layer.neurons]], 1)
            rows = v @ network.row_weight.double().T + network.row_bias.double()
            assert bool(((rows - values[graph.output]).abs() <= network.row_error.double() + 1e-13).all()), what


def test_only_unstable_relus_are_kept():
    for _, _, _, root in roots(["mlp", "residual", "stable"], dtypes=(torch.float64,)):
        for layer in root.network.layers:
            assert isinstance(layer.op, Relu)
            assert bool(((layer.lower < 0) & (layer.upper > 0)).all())
            assert layer.weight.shape == (layer.size, layer.start)
    assert root.network.unstable == 0 and root.network.relu_only


def test_counts_and_columns():
    graph = mlp()
    box = boxes(graph)[2:3]
    network = compact_root(graph_with_flat_output(graph), box, torch.arange(3)).network
    assert network.inputs == 3 and network.width == 3 + network.unstable
    assert network.lower.shape == network.upper.shape == (network.unstable,)
    assert [layer.columns.start for layer in network.layers] == [layer.start for layer in network.layers]
    assert network.flops > 0
    assert network.reach.shape == (network.width,)


def graph_with_flat_output(graph):
    from tests.verify.bounds.laws import with_rows

    return with_rows(graph)


def test_float32_bounds_contain_the_float64_ones():
    for _, _, _, root in roots(["mlp", "mixed"], dtypes=(torch.float64,)):
        small = root.network.to(dtype=torch.float32)
        assert bool((small.lower.double() <= root.network.lower).all())
        assert bool((small.upper.double() >= root.network.upper).all())
        assert bool((small.row_error.double() >= root.network.row_error).all())


def test_fixed_inputs_go_to_the_bias():
    graph = graph_with_flat_output(mlp())
    box = boxes(graph)[4:5]  # only the first input varies
    compactor = Compactor(graph, box, torch.tensor([0]))
    assert compactor.width == 1 and compactor.fixed.tolist() == [1, 2]
    network = compact_root(graph, box, torch.tensor([0])).network
    x = box.sample(20)
    rows, _ = compact_values(network, x.flatten(1)[:, :1])
    assert torch.allclose(rows, graph.evaluate(x), atol=1e-10)
