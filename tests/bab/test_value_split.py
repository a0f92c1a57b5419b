import pytest
import torch

from bab.search import Search
from bab.value_split import ValueSplitBounder
from tests.bab.test_input_split import constraint, graph_rows
from tests.bab.test_relu_split import query, true_least
from tests.verify.bounds.laws import arguments, varying
from verify.bounds.root import compact_root
from verify.budget import Budget
from verify.result import Reason


def bounder_of(q):
    box = q.interval()
    root = compact_root(q.graph, box, varying(box))
    return ValueSplitBounder(q, root.network, box, torch.ones(q.members.shape[0], dtype=torch.bool))


@pytest.mark.parametrize("name", ["mlp", "mixed", "product", "curves", "tanh"])
def test_margins_are_below_the_points_of_every_domain(name):
    q = query(name, 1)
    bounder = bounder_of(q)
    x = q.interval().sample(4000, torch.Generator().manual_seed(0))
    pre, rows = arguments(q.graph, bounder.problem.network, x), graph_rows(q, x)
    worst = torch.where(q.members, rows.unsqueeze(1), -torch.inf).amax(2)
    batch = bounder.root()
    for _ in range(5):
        done = bounder.bound(batch, Budget())
        inside = ((batch.low.unsqueeze(1) <= pre) & (pre <= batch.high.unsqueeze(1))).all(2)
        low = torch.where(inside, worst[:, batch.disjunct].T, torch.inf).amin(1)
        assert bool((done.margin <= low + 1e-9 * (1 + low.abs())).all())
        assert bool((done.batch.lower <= low + 1e-9 * (1 + low.abs())).all())
        # The bounds of a domain hold for its own points.
        within = (done.batch.l.unsqueeze(1) <= pre + 1e-9) & (pre - 1e-9 <= done.batch.u.unsqueeze(1))
        assert bool((within.all(2) | ~inside).all())
        keep = ~(done.margin > 0) & ~done.stuck
        if not bool(keep.any()):
            break
        parents = done.batch[keep]
        batch = bounder.split(parents)
        # Both children cover their parent.
        at = parents.decision.unsqueeze(1)
        first, second = batch[torch.arange(len(parents))], batch[torch.arange(len(parents), 2 * len(parents))]
        assert torch.equal(first.l.gather(1, at), second.u.gather(1, at))
        assert torch.equal(first.u.gather(1, at), parents.u.gather(1, at))


@pytest.mark.parametrize("name", ["mlp", "mixed", "product", "curves"])
def test_proves_what_holds_and_never_what_does_not(name):
    floor = true_least(query(name, 2, [[constraint([(0, 1)], 0)]], which=1))
    holds = query(name, 2, [[constraint([(0, 1)], 0.1 * (1 + abs(floor)) - floor)]], which=1)
    fails = query(name, 2, [[constraint([(0, 1)], -1e-3 - floor)]], which=1)
    outcome = Search(bounder_of(holds), lambda x: None).run(Budget.seconds(30))
    assert outcome.closed and outcome.smallest_margin > 0
    outcome = Search(bounder_of(fails), lambda x: None).run(Budget.seconds(1))
    assert not outcome.closed and outcome.reason in (Reason.TIMEOUT, Reason.NUMERICS)


def test_a_domain_that_cannot_be_cut_stays_open():
    bounder = bounder_of(query("curves", 1))
    batch = bounder.root()
    assert not bool((bounder.decide_stuck(batch, Budget()).margin > 0).any())


def test_relus_are_cut_at_zero_and_curves_in_the_middle():
    bounder = bounder_of(query("mixed", 1))
    l, u = bounder.problem.network.lower.unsqueeze(0), bounder.problem.network.upper.unsqueeze(0)
    points = bounder._points_of_cut(l, u)[0]
    assert bool((points[bounder.relu] == 0).all())
    assert torch.allclose(points[~bounder.relu], ((l + u) / 2)[0, ~bounder.relu])
