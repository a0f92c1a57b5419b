from dataclasses import replace

import numpy as np
import pytest
import torch

from bab.relu_split import ReluSplitBounder
from bab.search import Search
from tests.bab.test_input_split import constraint, graph_rows, query_of
from tests.verify.bounds.laws import varying
from tests.verify.bounds.networks import ALL, boxes, low_points
from verify.bounds.root import compact_root
from verify.budget import Budget
from verify.lp.leaf import LeafResult
from verify.lp.model import SolveStatus
from verify.sets import Interval

DTYPES = (torch.float32, torch.float64)


def bounder_of(query, dtype=torch.float32):
    box = query.interval()
    root = compact_root(query.graph, box, varying(box))
    open_ = torch.ones(query.members.shape[0], dtype=torch.bool)
    return ReluSplitBounder(query, root.network.to(dtype=torch.float64), box, open_, dtype)


def pre_activations(query, bounder, x):
    """(k, u) at points x (k, *input shape)."""
    layers = bounder.exact.network.layers
    names = [query.graph[layer.node].inputs[0] for layer in layers]
    values = query.graph.values(x, names)
    return torch.cat([values[n].flatten(1)[:, layer.neurons] for n, layer in zip(names, layers, strict=True)], 1)


def query(name, seed, disjuncts=None, which=2):
    graph = ALL[name](seed)
    default = [[constraint([(0, 1)], 1), constraint([(1, -1)], 0)], [constraint([(0, -1), (1, 1)], 2)]]
    return query_of(graph, boxes(graph, seed)[which : which + 1], disjuncts or default)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["mlp", "residual", "maximum", "mixed"])
def test_margins_are_below_the_points_of_every_domain(name, dtype):
    q = query(name, 1)
    bounder = bounder_of(q, dtype)
    generator = torch.Generator().manual_seed(0)
    x = q.interval().sample(4000, generator)
    pre, rows = pre_activations(q, bounder, x), graph_rows(q, x)
    worst = torch.where(q.members, rows.unsqueeze(1), -torch.inf).amax(2)
    batch = bounder.root()
    for _ in range(5):
        done = bounder.bound(batch, Budget())
        agrees = ((batch.signs.unsqueeze(1) == 0) | (batch.signs.unsqueeze(1) * pre.unsqueeze(0) >= 0)).all(2)
        low = torch.where(agrees, worst[:, batch.disjunct].T, torch.inf).amin(1)
        assert bool((done.margin <= low + 1e-9 * (1 + low.abs())).all())
        # What only the search believes may be off by its own rounding.
        assert bool((done.batch.lower.double() <= low + 1e-4 * (1 + low.abs())).all())
        keep = ~(done.margin > 0) & ~done.stuck
        if not bool(keep.any()):
            break
        batch = bounder.split(done.batch[keep])


def true_least(q):
    """The least value of the only row, by samples, corners and descent."""
    return float(low_points(q.graph, q.interval(), torch.eye(1), 20000, 1).min().minimum(
        low_points(q.graph, q.interval(), torch.ones(50, 1), 200, 30).min()))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["mlp", "residual", "maximum"])
def test_complete_on_relu_networks(name, dtype):
    """A property that holds with a small margin is proved, one that fails by a little never is."""
    floor = true_least(query(name, 2, [[constraint([(0, 1)], 0)]]))
    holds = query(name, 2, [[constraint([(0, 1)], 0.05 - floor)]])
    fails = query(name, 2, [[constraint([(0, 1)], -1e-3 - floor)]])
    outcome = Search(bounder_of(holds, dtype), lambda x: None).run(Budget.seconds(20))
    assert outcome.closed and outcome.smallest_margin > 0
    outcome = Search(bounder_of(fails, dtype), lambda x: None).run(Budget.seconds(1))
    assert not outcome.closed


def test_candidates_of_a_violated_property_are_violations():
    found = []
    q = query("mlp", 3, [[constraint([(0, 1)], -1)]])
    Search(bounder_of(q), lambda x: found.append(x)).run(Budget.seconds(0.5))
    assert found
    # The search computes in float32; the replay puts a candidate back into the box.
    near = Interval(q.interval().lower - 1e-6, q.interval().upper + 1e-6)
    for x in found:
        assert float(graph_rows(q, x.unsqueeze(0)).min()) <= 0
        assert bool(near.contains(x.unsqueeze(0)))


def test_children_fix_one_neuron_each_way():
    bounder = bounder_of(query("mlp", 1, [[constraint([(0, 1)], 0)]]))
    done = bounder.bound(bounder.root(), Budget())
    children = bounder.split(done.batch)
    decision = int(done.batch.decision[0])
    assert bounder.splittable[decision]
    assert children.signs[0, decision] == 1 and children.signs[1, decision] == -1
    assert int((children.signs != 0).sum()) == 2


def test_s_shaped_neurons_are_never_split():
    q = query("mixed", 1)
    bounder = bounder_of(q)
    kinds = [type(layer.op).__name__ for layer in bounder.exact.network.layers for _ in range(layer.size)]
    assert [kind == "Relu" for kind in kinds] == bounder.splittable.tolist()
    outcome = Search(bounder, lambda x: None).run(Budget.seconds(2))
    assert outcome.domains >= 1


def test_a_network_without_unstable_neurons_is_decided_at_once():
    floor = true_least(query("stable", 0, [[constraint([(0, 1)], 0)]]))
    holds = query("stable", 0, [[constraint([(0, 1)], 0.5 - floor)]])
    assert Search(bounder_of(holds), lambda x: None).run(Budget.seconds(5)).closed
    fails = query("stable", 0, [[constraint([(0, 1)], -0.01 - floor)]])
    assert not Search(bounder_of(fails), lambda x: None).run(Budget.seconds(5)).closed


def test_a_spent_budget_leaves_stuck_domains_open():
    q = query("stable", 0, [[constraint([(0, 1)], -1e6)]])
    bounder = bounder_of(q)
    last = bounder.decide_stuck(bounder.root(), Budget(deadline=-1.0))
    assert not bool((last.margin > 0).any())


def test_domains_do_not_see_their_batch_mates():
    bounder = bounder_of(query("mlp", 1), torch.float64)
    batch = bounder.split(bounder.bound(bounder.root(), Budget()).batch)
    together = bounder.bound(batch, Budget())
    for k in range(len(batch)):
        alone = bounder.bound(batch[torch.tensor([k])], Budget())
        # A mate that is still open keeps the optimiser running; more steps may only raise a bound.
        assert bool(together.batch.lower[k] >= alone.batch.lower[0] - 1e-9)
        assert np.sign(float(together.margin[k])) >= np.sign(float(alone.margin[0]))


def test_a_disjunct_without_rows_is_never_closed():
    """Its neighbour's positive row proves nothing about it."""
    q = query("mlp", 1, [[constraint([(0, 1)], 1000)], []])
    bounder = bounder_of(q)
    assert not bool(bounder.root().weights[1].any())
    outcome = Search(bounder, lambda x: None).run(Budget.seconds(1))
    assert not outcome.closed


def test_a_leaf_passes_on_the_signs_that_its_own_bounds_imply(monkeypatch):
    """Left open, the LP would relax these neurons by the root's bounds and a complete search would end undecided."""
    q = query("mlp", 1)
    bounder = bounder_of(q)
    batch = bounder.root()[:1]
    count = batch.signs.shape[1]
    assert count >= 3
    lower, upper = torch.full_like(batch.l, 0.5), torch.full_like(batch.u, 1.0)
    lower[0, 1], upper[0, 1] = -1.0, -0.5
    signs = torch.zeros_like(batch.signs)
    signs[0, 2] = -1
    seen = []

    def leaf(network, rows, given, seconds, evidence):
        seen.append(given.tolist())
        return LeafResult(-1.0, None, False, SolveStatus.OPTIMAL)

    monkeypatch.setattr("verify.lp.leaf.decide_leaf", leaf)
    done = bounder.decide_stuck(batch.with_data(l=lower, u=upper, signs=signs), Budget())
    assert seen == [[1, -1, -1] + [1] * (count - 3)] and done.margin.tolist() == [-1.0]


def test_the_ascent_aims_above_what_a_rigorous_evaluation_subtracts():
    """Under float32 semantics that is the noise of executions: a bound just above 0 closes nothing."""
    q = query("mlp", 1)
    nodes = tuple(replace(node, roundings=0 if node.op.linear and node.inputs and node.name.startswith("n") else None)
                  for node in q.graph.nodes)
    noisy = replace(q, graph=replace(q.graph, nodes=nodes))
    exact, rounded = bounder_of(q, torch.float64), bounder_of(noisy, torch.float64)
    params = rounded.exact.initial(torch.eye(q.rows, dtype=torch.float64))
    lost = rounded.exact.backward(params).bound - rounded.exact.rigorous(params)
    assert exact.enough < 1e-9 < 1e-6 < float(lost.max()) < rounded.enough < 1e-3
