from dataclasses import replace

import torch

from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.laws import varying
from tests.verify.bounds.networks import ALL, boxes
from verify.bounds.root import compact_root
from verify.budget import Budget
from verify.engines import alpha_crown, create
from verify.engines.alpha_crown import raise_margins
from verify.engines.base import Settings, closed_disjuncts
from verify.result import Reason


def joint_query():
    """Two rows of one disjunct that contradict each other, neither of them positive alone."""
    graph = ALL["mlp"](1)
    box = boxes(graph, 1)[1:2]
    middle = float(graph.evaluate(box.center).flatten()[0])
    return query_of(graph, box, [[constraint([(0, 1)], 0.05 - middle), constraint([(0, -1)], 0.05 + middle)],
                                                  [constraint([(1, 1)], 1000)], []])


def test_rows_of_a_disjunct_are_combined_and_nothing_else_changes():
    query = joint_query()
    box = query.interval()
    root = compact_root(query.graph, box, varying(box))
    before = closed_disjuncts(root.row_lower, query.members)
    with torch.no_grad():
        after = raise_margins(root.network, query.members, before)
    assert bool((after >= before).all())
    assert before[0] < 0 < after[0]
    assert after[1] == before[1] > 0
    assert not after[2] > 0
    x = box.sample(5000)
    largest = torch.where(query.members, query.graph.evaluate(x).unsqueeze(1), -torch.inf).amax(2).amin(0)
    assert bool((after <= largest).logical_or(~query.members.any(1)).all())


def test_only_its_own_rows_prove_a_disjunct(monkeypatch):
    """Without a bound for any single row the start was the first row of all, whoever it belongs to."""
    query = joint_query()
    box = query.interval()
    root = compact_root(query.graph, box, varying(box))
    network = replace(root.network, row_bias=root.network.row_bias + torch.tensor([1000.0, 0.0, -2000.0]))
    monkeypatch.setattr(alpha_crown, "rigorous_rows", lambda network, weight, *rest: torch.full(
        weight.shape[:1], -torch.inf, dtype=torch.float64))
    with torch.no_grad():
        after = raise_margins(network, query.members, torch.full((3,), -torch.inf, dtype=torch.float64))
    assert after[0] > 0 and not after[1] > 0 and not after[2] > 0


def test_never_worse_than_crown():
    query = joint_query()
    bounds = {name: create(name, Settings()).verify(query, Budget()).stats.best_bound
              for name in ("crown", "alpha-crown")}
    assert bounds["alpha-crown"] >= bounds["crown"]


def test_a_spent_budget_is_a_timeout():
    result = create("alpha-crown", Settings()).verify(joint_query(), Budget(deadline=-1.0))
    assert result.reason is Reason.TIMEOUT
