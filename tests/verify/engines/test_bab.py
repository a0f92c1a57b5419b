from dataclasses import replace

import pytest
import torch

from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.networks import ALL, boxes, low_points
from verify.budget import Budget
from verify.engines.bab import BabVerifier, analyse_root, choose_plan, root_options, strengthen_root
from verify.engines.base import Settings
from verify.result import Reason, Verdict


def query(name, margin, seed=1, which=1):
    graph = ALL[name](seed)
    box = boxes(graph, seed)[which : which + 1]
    plain = query_of(graph, box, [[constraint([(0, 1)], 0)]])
    floor = float(low_points(plain.graph, box, torch.ones(40, 1), 400, 30).min())
    return query_of(graph, box, [[constraint([(0, 1)], margin - floor)]])


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum", "mixed", "conv"])
def test_decides_what_holds_and_never_proves_what_does_not(name):
    holds = BabVerifier(Settings()).verify(query(name, 0.05), Budget.seconds(20))
    assert holds.verdict is Verdict.VERIFIED and 0 < holds.tree.smallest_margin <= 0.05 + 1e-9
    fails = BabVerifier(Settings()).verify(query(name, -1e-3), Budget.seconds(1))
    assert fails.verdict is Verdict.UNKNOWN and isinstance(fails.reason, Reason)


def test_the_plan_says_why():
    few = query("mlp", 0.05)
    plan = choose_plan(few, analyse_root(few, Budget()).root)
    assert plan.modes and set(plan.modes) <= {"input", "relu"} and "ReLUs" in plan.why
    smooth = query("mixed", 0.05)
    assert choose_plan(smooth, analyse_root(smooth, Budget()).root).modes == ("input", "value")


def test_strengthening_never_loosens():
    q = query("mlp", 0.02, which=2)
    state = analyse_root(q, Budget())
    better = strengthen_root(q, state, Budget())
    assert bool((better.margins >= state.margins).all())
    assert better.network.unstable <= state.network.unstable
    assert root_options(state.network, 1.0).iterations >= 1


def test_a_root_that_decides_needs_no_search():
    q = query("stable", 0.5)
    state = analyse_root(q, Budget())
    assert state.proved
    assert BabVerifier(Settings()).verify(q, Budget()).stats.domains == 1


def test_no_disjunct_means_nothing_is_unsafe():
    q = query("mlp", 0.05)
    empty = replace(q, members=q.members[:0])
    assert BabVerifier(Settings()).verify(empty, Budget()).verdict is Verdict.VERIFIED


def test_a_property_without_rows_is_never_verified():
    graph = ALL["mlp"](1)
    q = query_of(graph, boxes(graph, 1)[1:2], [[]])
    assert BabVerifier(Settings()).verify(q, Budget.seconds(1)).verdict is Verdict.UNKNOWN
