"""A recording is a complete tree per disjunct whose evidence proves its leaves again; recording changes no search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bab.relu_split import ReluSplitBounder
from bab.search import Search, SearchOptions
from bab.tighten import tighten
from tests.bab.test_input_split import constraint
from tests.bab.test_relu_split import query as random_query
from tests.bab.test_relu_split import true_least
from tests.verify.engines.problems import problem, query, several
from verify.bounds.ascent import AscentOptions
from verify.bounds.dual import DualProblem
from verify.bounds.lines import DualLines
from verify.bounds.root import compact_root
from verify.budget import Budget
from verify.certificate import recorder as module
from verify.certificate.recorder import CaseRecorder, Recorder, leaf_records
from verify.certificate.recording import INPUT, dequantised
from verify.engines.bab import BabVerifier, analyse_root, make_search, strengthen_root
from verify.engines.base import Settings
from verify.errors import BrokenInvariant
from verify.pipeline import Problem, solve
from verify.query import InputBox, row_numbers
from verify.result import Verdict


def ids_below(tree):
    """All ids of a tree, with the checks that make it one."""
    seen, stack = [], [tree.root]
    while stack:
        node = stack.pop()
        seen.append(node)
        assert (node in tree.children) != (node in tree.leaves)
        stack += tree.children.get(node, ())
    assert len(set(seen)) == len(seen) and set(tree.splits) == set(tree.children)
    assert set(seen) == set(tree.children) | set(tree.leaves)
    return seen


def relu_run(q, **options):
    """(outcome, record, bounder) of a search that splits ReLUs from plain root bounds."""
    box = q.interval()
    root = compact_root(q.graph, box, torch.from_numpy(q.varying))
    network, recorder = root.network.to(dtype=torch.float64), CaseRecorder(0, q)
    bounder = ReluSplitBounder(q, network, box, torch.ones(len(q.members), dtype=torch.bool), torch.float32)
    bounder.options = replace(bounder.options, evidence=True, **options)
    trace = recorder.relu_tree(network)
    # Single domains: a tree of some depth also on small problems.
    outcome = Search(bounder, lambda x: None, SearchOptions(1, 1), trace).run(Budget.seconds(20))
    return outcome, recorder, bounder


def replayed(tree, bounder, q):
    """Bounds of all leaves from the dequantised evidence and the bounds tightened along the path."""
    net = bounder.exact.network
    column = {at: k for k, at in enumerate(zip(tree.neurons.layer.tolist(), tree.neurons.index.tolist(), strict=True))}
    rows = row_numbers(q.case)[tree.disjuncts[0]]
    found, stack = [], [(tree.root, torch.zeros(1, net.unstable, dtype=torch.int8), net.lower[None], net.upper[None])]
    while stack:
        node, signs, low, high = stack.pop()
        if node in tree.children:
            split = tree.splits[node]
            at = column[split.layer, split.index]
            for child, sign in zip(tree.children[node], (1, -1), strict=True):
                own = signs.clone()
                own[0, at] = sign
                tight = tighten(bounder.exact, low, high, own, bounder.layer_of[at : at + 1])
                stack.append((child, own, tight.lower, tight.upper))
            continue
        leaf = tree.leaves[node]
        assert bool((torch.from_numpy(leaf.signs) == signs[0, leaf.columns])[signs[0, leaf.columns] != 0].all())
        signs[0, leaf.columns] = torch.from_numpy(leaf.signs)
        params = DualProblem.of(net).initial(torch.zeros(1, net.row_weight.shape[0]))
        params.alpha[0] = torch.from_numpy(dequantised(leaf.alpha))
        params.beta[0, leaf.columns] = torch.from_numpy(leaf.beta).double()
        params.weights[0].index_add_(0, torch.tensor(rows), torch.from_numpy(leaf.weights).double())
        found.append(float(DualProblem(net, DualLines.of(net, low, high)).rigorous(params, signs)[0]))
    return found


def tight(name, seed, margins, which=2):
    """A query with one disjunct per margin: output 0 minus its least value plus the margin."""
    floor = true_least(random_query(name, seed, [[constraint([(0, 1)], 0)]], which))
    return random_query(name, seed, [[constraint([(0, 1)], m - floor)] for m in margins], which)


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum"])
def test_relu_trees_replay(name):
    leaves = 0
    for seed in (1, 2, 4):
        q = tight(name, seed, [0.02])
        twice = q.case.disjuncts[0][0]
        q = replace(q, case=replace(q.case, disjuncts=((twice, twice),)))
        outcome, recorder, bounder = relu_run(q)
        assert outcome.closed
        (tree,) = recorder.record().trees
        assert tree.mode == "relu" and tree.disjuncts == (0,)
        assert len(ids_below(tree)) == outcome.domains and len(tree.leaves) == outcome.leaves
        bounds = replayed(tree, bounder, q)
        assert sum(b > 0 for b in bounds) >= 0.9 * len(bounds)
        assert all(leaf.weights[1] == 0 for leaf in tree.leaves.values())  # equal constraints share a row
        leaves += len(bounds)
    assert leaves > 10


def test_leaves_that_an_lp_decides_replay_exactly():
    q = tight("mlp", 2, [0.01])
    outcome, recorder, bounder = relu_run(q, ascent=AscentOptions(iterations=0), tighten_cost=0.0)
    (tree,) = recorder.record().trees
    full = [leaf for leaf in tree.leaves.values() if leaf.columns.size == bounder.splittable.numel()]
    assert outcome.closed and full and all(b > 0 for b in replayed(tree, bounder, q))


def test_every_disjunct_gets_its_tree():
    outcome, recorder, _ = relu_run(tight("mlp", 2, [0.02, 0.05, 0.03]))
    trees = recorder.record().trees
    assert outcome.closed and [tree.disjuncts for tree in trees] == [(0,), (1,), (2,)]
    assert sum(len(tree.leaves) for tree in trees) == outcome.leaves
    below = [ids_below(tree) for tree in trees]
    assert len(set().union(*below)) == sum(map(len, below)) == outcome.domains


def test_an_open_tree_is_no_record():
    outcome, recorder, _ = relu_run(tight("mlp", 2, [0.02, -0.05]))
    assert not outcome.closed and outcome.leaves > 0 and recorder.record() is None


def test_smooth_columns_keep_both_positions():
    q = random_query("mixed", 1)
    outcome, recorder, bounder = relu_run(q)
    assert outcome.domains >= 1
    network = bounder.exact.network
    leaf = leaf_records(DualProblem.of(network).initial(torch.ones(1, q.rows)), [(0,)], True)[0]
    assert leaf.upper.shape == leaf.alpha.shape == (network.unstable,)
    assert recorder.neurons(network).layer.tolist() == sorted(recorder.neurons(network).layer.tolist())


def input_run(q):
    recorder = Recorder()
    recorder.begin(0, q)
    state = analyse_root(q, Budget(), recorder.current)
    run = make_search("input", q, state, Settings(recorder=recorder))
    run.options = SearchOptions(4, 16)
    return run.run(Budget.seconds(20)), recorder.current.record(), state


@pytest.mark.parametrize("name", ["mlp", "mixed"])
def test_input_trees_are_cuts_of_the_box(name):
    q = tight(name, 1, [0.05, 0.2])
    outcome, record, state = input_run(q)
    assert outcome.closed
    tree = record.trees[0]
    assert tree.mode == "input" and tree.neurons is None and record.refinements == ()
    assert set(tree.disjuncts) == set((~(state.margins > 0)).nonzero().squeeze(1).tolist())
    assert len(ids_below(tree)) == outcome.domains and len(tree.leaves) == outcome.leaves > 1
    stack = [(tree.root, q.box.lower.copy(), q.box.upper.copy())]
    while stack:
        node, low, high = stack.pop()
        if node in tree.children:
            split = tree.splits[node]
            assert split.layer == INPUT and low[split.index] < split.threshold < high[split.index]
            first_high, second_low = high.copy(), low.copy()
            first_high[split.index] = second_low[split.index] = split.threshold
            first, second = tree.children[node]
            stack += [(first, low, first_high), (second, second_low, high)]
        else:
            assert tree.leaves[node].alpha is None


class Seeing(CaseRecorder):
    """Keeps the networks that the records speak about."""

    def __init__(self, number, q):
        super().__init__(number, q)
        self.seen = []

    def refined(self, network, layer, rows, params, found):
        self.seen.append((network, layer, rows))
        super().refined(network, layer, rows, params, found)


def strengthened(q):
    recorder = Seeing(0, q)
    state = analyse_root(q, Budget(), recorder)
    return recorder, strengthen_root(q, state, Budget(), recorder)


def test_refinements_replay():
    q = tight("residual", 2, [0.001])
    recorder, state = strengthened(q)
    assert not state.proved and recorder.seen
    records = recorder._refinements
    assert [r.round for r in records] == sorted(r.round for r in records) and records[0].round == 0
    for record, (network, layer, rows) in zip(records, recorder.seen, strict=True):
        k = rows.numel()
        assert record.index.tolist() == layer.neurons[rows].tolist() and len(record.neurons) == network.unstable
        params = DualProblem.of(network).initial(torch.zeros(2 * k, 0, dtype=torch.float64))
        params = replace(params, alpha=torch.from_numpy(dequantised(record.alpha)))
        w, b, e = layer.weight[rows], layer.bias[rows], layer.error[rows]
        bound = DualProblem.of(network).rigorous(params, None, (torch.cat([w, -w]), torch.cat([b, -b])),
                                                 torch.cat([e, e]))
        wanted = np.concatenate([record.bounds[0], -record.bounds[1]])
        assert np.allclose(bound.numpy(), wanted, atol=0.02 * (1 + np.abs(wanted).max()))
        assert np.array_equal(record.before[0], layer.lower[rows].numpy())


def test_rows_that_alpha_crown_proves_are_trees_of_one_leaf():
    seen = 0
    for name, seed in (("mlp", 1), ("mlp", 3), ("residual", 2), ("maximum", 3)):
        for margin in (0.1, 0.2, 0.3, 0.5):
            q = tight(name, seed, [margin, 5.0])
            recorder, state = strengthened(q)
            if not state.proved or not recorder._combined:
                continue
            record = recorder.record()
            assert sorted(d for tree in record.trees for d in tree.disjuncts) == [0, 1]
            for tree in record.trees:
                leaf = tree.leaves[tree.root]
                assert tree.mode == "root" and len(ids_below(tree)) == 1
                assert (leaf.alpha is None) == (tree.neurons is None)
                seen += leaf.alpha is not None and leaf.weights.tolist() == [1.0]
    assert seen >= 4


def test_refinements_beyond_the_memory_are_left_out(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    q = tight("residual", 2, [0.001])
    recorder, _ = strengthened(q)
    assert recorder._truncated and not recorder._refinements


@pytest.mark.parametrize("method", ["portfolio", "bab", "alpha-crown", "crown", "ibp"])
@pytest.mark.parametrize("name", ["abs", "hat", "max"])
def test_recording_changes_nothing(name, method):
    recorder = Recorder()
    plain = solve(problem(name, 0.05), method, Budget.seconds(20))
    watched = solve(problem(name, 0.05), method, Budget.seconds(20), recorder=recorder)
    assert (plain.verdict, plain.stats.domains, plain.reason) == (
        watched.verdict, watched.stats.domains, watched.reason)
    recording = recorder.recording(1)
    assert (recording is not None) == (watched.verdict is Verdict.VERIFIED)
    if recording is not None:
        (case,) = recording.cases
        assert sorted(d for tree in case.trees for d in tree.disjuncts) == [0]
        assert sum(len(tree.leaves) for tree in case.trees) == watched.tree.leaves
        for tree in case.trees:
            ids_below(tree)


def test_what_only_a_solver_proved_has_no_record():
    recorder = Recorder()
    assert solve(problem("hat", 0.001), "milp", Budget.seconds(20), recorder=recorder).verdict is Verdict.VERIFIED
    assert recorder.recording(1) is None


def test_many_boxes_and_a_violated_one():
    recorder = Recorder()
    assert solve(several("abs", [3.0] * 20), recorder=recorder).verdict is Verdict.VERIFIED
    cases = recorder.recording(20).cases
    assert [c.case for c in cases] == list(range(20))
    assert all(len(c.trees) == 1 and len(c.trees[0].leaves) == 1 for c in cases)
    recorder = Recorder()
    assert solve(several("abs", [0.1, -0.1]), recorder=recorder).verdict is Verdict.FALSIFIED
    assert recorder.recording(2) is None


def test_an_empty_box_needs_no_tree():
    asked, recorder = problem("abs", -0.1), Recorder()
    case = asked.spec.cases[0]
    box = InputBox(*(np.array(limits, dtype=float) for limits in ([1, 1], [-1, 1]) * 2))
    empty = Problem(asked.network, replace(asked.spec, cases=(replace(case, box=box),)))
    assert solve(empty, recorder=recorder).verdict is Verdict.VERIFIED
    assert recorder.recording(1).cases[0].trees == ()


def test_a_case_that_is_tried_again_starts_afresh():
    recorder, q = Recorder(), query("abs", 0.1)
    for wanted in (False, True):
        recorder.begin(0, q)
        assert BabVerifier(Settings(recorder=recorder)).verify(q, Budget()).verdict is Verdict.VERIFIED
        recorder.end(wanted)
        assert (recorder.recording(1) is not None) is wanted
    recorder.begin(0, q)
    recorder.end(True)
    assert recorder.recording(1) is None


def test_an_engine_cannot_be_watched_before_its_case_began():
    with pytest.raises(BrokenInvariant, match="begin"):
        BabVerifier(Settings(recorder=Recorder())).verify(query("abs", 0.1), Budget())
