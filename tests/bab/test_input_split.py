import numpy as np
import pytest
import torch

from bab.input_split import HeuristicChoice, InputSplitBounder
from bab.search import Search
from tests.verify.bounds.laws import DEVICES
from tests.verify.bounds.networks import ALL, boxes
from verify.bounds.ibp import ibp
from verify.budget import Budget
from verify.query import Case, InputBox, LinearConstraint, Spec, lower
from verify.result import Reason

FINE = {"float64": torch.float64, "float32": torch.float32}


def constraint(y, constant, x=()):
    from fractions import Fraction

    return LinearConstraint(tuple((k, Fraction(c)) for k, c in y), Fraction(constant),
                            tuple((k, Fraction(c)) for k, c in x))


def query_of(graph, box, disjuncts):
    """A query on a graph without files; candidates are never accepted."""
    limits = [side.double().flatten().numpy() for side in (box.lower, box.upper)]
    case = Case(InputBox.from_floats(*limits), tuple(tuple(d) for d in disjuncts))
    outputs = int(np.prod(graph[graph.output].shape))
    return lower(case, graph, Spec(limits[0].size, outputs, (case,)))


def bounder_of(query):
    box = query.interval()
    open_ = torch.ones(query.members.shape[0], dtype=torch.bool, device=box.lower.device)
    return InputSplitBounder(query, box, ibp(query.graph, box), open_)


def least(query, count=20000):
    """Smallest sampled value of the largest row, per disjunct (D,), in float64."""
    graph = query.graph.to("cpu", torch.float64)
    low, high = (torch.from_numpy(a).reshape(graph.input.shape) for a in (query.box.lower, query.box.upper))
    noise = torch.rand(count, *graph.input.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = graph.evaluate(low + noise * (high - low))
    return torch.where(query.members, rows.unsqueeze(1), -torch.inf).amax(2).amin(0)


def shifted(name, seed, margin, dtype=torch.float64, which=1):
    """A query whose first output stays `margin` above the smallest sampled value (unsafe below that)."""
    graph = ALL[name](seed).to(dtype=dtype)
    box = boxes(graph, seed)[which : which + 1]
    floor = float(least(query_of(graph, box, [[constraint([(0, 1)], 0)]]))[0])
    return query_of(graph, box, [[constraint([(0, 1)], margin - floor)]])


@pytest.mark.parametrize("dtype", FINE.values(), ids=FINE)
@pytest.mark.parametrize("name", ["mlp", "residual", "mixed", "joined", "conv"])
def test_proves_what_holds_and_never_what_does_not(name, dtype):
    holds, fails = shifted(name, 1, 0.3, dtype), shifted(name, 1, -0.01, dtype)
    if name != "conv":
        assert Search(bounder_of(holds), lambda x: None).run(Budget.seconds(20)).closed
    outcome = Search(bounder_of(fails), lambda x: None).run(Budget.seconds(0.3))
    assert not outcome.closed and outcome.best_bound <= 0


@pytest.mark.parametrize("seed", range(3))
def test_margins_are_below_the_points_of_every_box(seed):
    """Two disjuncts, one with two rows and an input term; three rounds of splits, clipping included."""
    graph = ALL["mlp"](seed)
    query = query_of(graph, boxes(graph, seed)[2:3], [
        [constraint([(0, 1)], 1), constraint([(1, -1)], 0, [(0, 1)])], [constraint([(0, -1), (1, 1)], 2)],
    ])
    bounder, batch = bounder_of(query), None
    batch = bounder.root()
    for _ in range(4):
        done = bounder.bound(batch, Budget())
        for k in range(len(batch)):
            one = batch[torch.tensor([k])]
            x = one.x_lower + torch.rand(2000, 3, dtype=torch.float64) * (one.x_upper - one.x_lower)
            rows = graph_rows(query, x)
            worst = torch.where(query.members, rows.unsqueeze(1), -torch.inf).amax(2)
            worst = torch.where(one.open, worst, torch.inf).amin(1)
            assert float(done.margin[k]) <= float(worst.min()) + 1e-9
            unsafe = x[worst <= 0]
            assert bool(((done.batch.x_lower[k] <= unsafe) & (unsafe <= done.batch.x_upper[k])).all())
        keep = ~(done.margin > 0)
        if not bool(keep.any()):
            break
        batch = bounder.split(done.batch[keep])


def graph_rows(query, x):
    return query.graph.evaluate(x.reshape(-1, *query.graph.input.shape))


def test_children_cover_their_parent():
    bounder = bounder_of(shifted("mlp", 2, 0.1))
    done = bounder.bound(bounder.root(), Budget())
    children = bounder.split(done.batch)
    axis = int(done.batch.axis[0])
    assert torch.equal(children.x_lower[0], done.batch.x_lower[0])
    assert torch.equal(children.x_upper[1], done.batch.x_upper[0])
    assert float(children.x_upper[0, axis]) == float(children.x_lower[1, axis])


def test_only_inputs_that_vary_are_cut():
    graph = ALL["mlp"](0)
    bounder = bounder_of(query_of(graph, boxes(graph)[4:5], [[constraint([(0, 1)], 0)]]))
    assert bounder.root().x_lower.shape == (1, 1)
    box = bounder._box(bounder.root())
    assert torch.equal(box.lower, boxes(graph).lower[4:5])


def test_a_box_of_neighbouring_floats_is_stuck_and_stays_open():
    graph = ALL["mlp"](0)
    x = boxes(graph).lower[:1]
    box = type(boxes(graph))(x, torch.nextafter(x, torch.full_like(x, torch.inf)))
    value = float(graph.evaluate(x).flatten()[0])
    bounder = bounder_of(query_of(graph, box, [[constraint([(0, 1)], -value)]]))
    outcome = Search(bounder, lambda x: None).run(Budget.seconds(5))
    assert not outcome.closed and outcome.reason is Reason.NUMERICS


def test_closed_disjuncts_stay_closed():
    graph = ALL["mlp"](0)
    query = query_of(graph, boxes(graph)[1:2], [[constraint([(0, 1)], 1000)], [constraint([(1, 1)], 0)]])
    bounder = bounder_of(query)
    done = bounder.bound(bounder.root(), Budget())
    assert done.batch.open.tolist()[0][0] is False
    assert bounder.split(done.batch).open[:, 0].any().item() is False


def test_the_choice_of_heuristics_learns():
    choice = HeuristicChoice.fresh()
    assert sorted(set(choice.assign(10, torch.device("cpu")).tolist())) == [0, 1]
    rules = torch.tensor([0, 1] * 100)
    choice.learn(rules, torch.where(rules == 1, 2.0, float("nan")))
    assert choice.seen == [0, 100]
    choice.learn(rules, torch.where(rules == 1, 2.0, 1.0))
    assert choice.assign(80, torch.device("cpu")).tolist().count(1) == 70


@pytest.mark.parametrize("device", DEVICES)
def test_devices(device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    query = shifted("mlp", 1, 0.3)
    from dataclasses import replace

    query = replace(query, graph=query.graph.to(device))
    assert Search(bounder_of(query), lambda x: None).run(Budget.seconds(30)).closed


def test_a_disjunct_without_rows_is_never_closed():
    graph = ALL["mlp"](0)
    for disjuncts in ([[constraint([(0, 1)], 1000)], []], [[]]):
        bounder = bounder_of(query_of(graph, boxes(graph)[1:2], disjuncts))
        done = bounder.bound(bounder.root(), Budget())
        assert not bool((done.margin > 0).any())
        done = bounder.bound(bounder.split(done.batch), Budget())  # now only the disjunct without rows is open
        assert not bool((done.margin > 0).any())
