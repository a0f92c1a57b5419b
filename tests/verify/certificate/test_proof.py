"""What is proved gets a proof that the checker accepts, whatever the evidence is worth; what is not, leaves no file."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from benchmarks.soundness.questions import spec_text
from tests.soundness.nets import case, dense, row
from tests.soundness.random_networks import Builder, problem
from tests.verify.certificate.proofs import (
    Question,
    ask,
    changed,
    floors,
    least_outputs,
    random_layers,
    searched,
    without_evidence,
)
from verify.budget import Budget
from verify.certificate import proof as module
from verify.certificate.checker.stream import open_container
from verify.certificate.recorder import Recorder
from verify.certificate.recording import INPUT, CaseRecord, LeafRecord, Recording, SplitRecord, TreeRecord
from verify.errors import InvalidInput, NoProof
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve
from verify.result import Verdict

PLAIN = LeafRecord()
HAT = dense([([[1], [1], [1]], [0, -1, -2]), ([[1, -2, 1]], [0])])
"""relu(x) - 2 relu(x - 1) + relu(x - 2): on [0, 2] a hat with peak 1."""


def hat(above_peak: float, lower: float = 0.0, upper: float = 2.0) -> Question:
    """Unsafe where the hat reaches its peak + `above_peak`."""
    return ask(HAT, case([lower], [upper], [row({0: -1}, Fraction(above_peak) + 1)]))


def leaf_recording(question: Question) -> Question:
    """A recording that says that plain bounds prove everything."""
    trees = [TreeRecord("root", tuple(range(len(c.disjuncts))), 0, {}, {}, {0: PLAIN}) for c in question.asked.cases]
    return replace(question, recording=Recording(tuple(CaseRecord(k, (t,)) for k, t in enumerate(trees))))


def relu_and_tanh() -> bytes:
    builder = Builder(np.random.default_rng(5), (1, 4))
    x = builder.relu(builder.dense("x", 4, 8))
    return builder.model(builder.dense(builder.add("Tanh", builder.dense(x, 8, 3)), 3, 2), 2)


@pytest.fixture(scope="module")
def relu_tree() -> Question:
    network = random_layers(1, (3, 12, 12, 2))
    return searched(ask(network, floors(network, [-1] * 3, [1] * 3, (0.03, 0.05))), "relu")


@pytest.fixture(scope="module")
def input_tree() -> Question:
    network = random_layers(1, (3, 12, 12, 2))
    return searched(ask(network, floors(network, [-1] * 3, [1] * 3, (0.03, 0.05))), "input")


def test_relu_splits_with_lemmas(relu_tree, tmp_path):
    assert any(own.refinements for own in relu_tree.recording.cases)
    written = relu_tree.accepted(tmp_path / "proof", "dyadic")
    assert written.trees == 2 and written.leaves > 50 and written.resplit == 0
    assert written.bytes / written.leaves < 30


def test_input_splits(input_tree, tmp_path):
    written = input_tree.accepted(tmp_path / "proof", "dyadic")
    assert written.trees == 1 and written.leaves > 10 and written.bytes / written.leaves < 30


@pytest.mark.parametrize("tree", ["relu_tree", "input_tree"])
def test_reductions(tree, request, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "REDUCE_LEAVES", 3)
    monkeypatch.setattr(module, "REDUCE_AGAIN", 2)
    sizes, sides = [], []

    def counted(place):
        smaller = counted.before(place)
        if smaller is not None:
            sizes.append((place.domain.context.net.unstable, smaller.domain.context.net.unstable))
            sides.append(int(np.abs(smaller.domain.context.net.signs).sum()))
        return smaller

    counted.before = module.reduce
    monkeypatch.setattr(module, "reduce", counted)
    request.getfixturevalue(tree).accepted(tmp_path / "proof", "dyadic")
    assert len(sizes) >= 2 and all(after <= before for before, after in sizes)
    assert any(after < before for before, after in sizes) if tree == "input_tree" else any(sides)


@pytest.mark.parametrize(("network", "mode", "margins"), [
    (random_layers(1, (2, 8, 8, 2), "Tanh"), "input", (0.02, 0.03)),
    (random_layers(2, (2, 8, 8, 1), "Sigmoid"), "input", (0.01,)),
    (relu_and_tanh(), "input", (0.05, 0.05)),
    (relu_and_tanh(), "relu", (0.1, 0.1)),
], ids=["tanh", "sigmoid", "mixed-input", "mixed-relu"])
def test_smooth_networks(network, mode, margins, tmp_path):
    inputs = from_bytes(network).input_shape[-1]
    question = ask(network, floors(network, [-1] * inputs, [1] * inputs, margins))
    assert searched(question, mode).accepted(tmp_path / "proof", "dyadic").leaves >= 2


@pytest.mark.parametrize("mode", ["relu", "input"])
def test_float32_semantics(mode, tmp_path):
    network = random_layers(1, (3, 12, 12, 2))
    asked = floors(network, [-1] * 3, [1] * 3, (0.03, 5.0))
    margins = []
    for semantics in ("real", "float32"):
        question = searched(ask(network, asked, semantics=semantics), mode)
        margins.append(question.accepted(tmp_path / "proof", "dyadic").smallest_margin)
        assert open_container(tmp_path / "proof").header.semantics == semantics
    assert margins[0] != margins[1]


def test_several_boxes_and_an_empty_one(tmp_path):
    network = random_layers(6, (2, 8, 6, 2))
    boxes = [([-1, -1], [0, 1]), ([0, -1], [1, 1]), ([-2, -2], [-1, -1])]
    cases = [floors(network, *box, (0.05, 0.05)) for box in boxes]
    empty = case([1, 0], [0, 1], [row({0: 1})])
    question = searched(ask(network, cases[0], empty, *cases[1:]), "relu")
    written = question.accepted(tmp_path / "proof", "dyadic")
    assert open_container(tmp_path / "proof").header.cases == 4 and written.trees >= 3


def test_only_empty_boxes(tmp_path):
    question = ask(HAT, case([1], [0], [row({0: 1})]))
    question = replace(question, recording=Recording((CaseRecord(0, ()),)))
    written = question.write(tmp_path / "proof")
    report = question.check(tmp_path / "proof")
    assert (report.leaves, report.trees, written.leaves) == (0, 0, 0) and written.smallest_margin == np.inf


@pytest.mark.parametrize("mode", ["relu", "input"])
def test_several_rows_per_disjunct(mode, tmp_path):
    """The hat above its peak / 2 and the input outside of where that happens: neither row is positive everywhere."""
    network = random_layers(7, (2, 10, 8, 2))
    least = least_outputs(dense([([[1, 1]], [0])]), [-1, -1], [1, 1])[0]
    assert least == -2
    low = least_outputs(network, [-1, -1], [1, 1])
    rows = [row({0: 1}, Fraction(-round(low[0] * 100), 100) + Fraction(1, 20)), row({1: 1}, 0, {0: Fraction(1, 8)})]
    question = searched(ask(network, case([-1, -1], [1, 1], rows, [rows[1], rows[0], rows[0]])), mode)
    question.accepted(tmp_path / "proof", "dyadic")


def test_rows_that_only_together_are_positive(tmp_path):
    """|x| and 1/2 - |x| cannot both be at most 1/8, but neither is above it everywhere."""
    network = dense([([[1], [-1]], [0, 0]), ([[1, 1], [-1, -1]], [0, 0.5])])
    rows = [row({0: 1}, Fraction(-1, 8)), row({1: 1}, Fraction(-1, 8))]
    asked = ask(network, case([-1], [1], rows))
    for question in (searched(asked, "relu"), searched(asked, "input"), leaf_recording(asked)):
        written = question.accepted(tmp_path / "proof", "dyadic")
        assert written.leaves < 10


@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_random_networks(semantics, tmp_path):
    """Verified means that a proof is accepted, for all kinds of networks."""
    proved = set()
    for seed in range(36):
        p = problem(seed)
        if p.unsafe is not None:
            continue
        question, recorder = ask(p.onnx, *p.spec.cases, semantics=semantics), Recorder()
        asked = Problem(from_bytes(p.onnx), question.asked, semantics)
        if solve(asked, "bab", Budget.seconds(20), "cpu", recorder=recorder).verdict is Verdict.VERIFIED:
            question = replace(question, recording=recorder.recording(len(question.asked.cases)))
            written = question.accepted(tmp_path / "proof", *(["dyadic"] if seed % 3 == 0 else []))
            assert written.leaves < 40, (seed, p.kind)
            proved.add(p.kind)
    assert len(proved) >= 10


def test_disjuncts_that_root_bounds_miss_are_split_alone(tmp_path):
    """What the search proved by other bounds: each such disjunct has a tree with splits of its own kind."""
    network = random_layers(9, (30, 6, 6, 3))
    question = ask(network, floors(network, [-0.5] * 30, [0.5] * 30, (30.0, 0.2, 0.2)))
    written = leaf_recording(question).accepted(tmp_path / "proof")
    assert written.trees == 3 and written.resplit > 0


def wrong(how: str):
    """Leaf records with evidence that is worth nothing."""
    rng = np.random.default_rng(3)

    def noise(leaf: LeafRecord) -> LeafRecord:
        alpha = None if leaf.alpha is None else rng.integers(0, 256, leaf.alpha.shape, dtype=np.uint8)
        beta = None if leaf.beta is None else (10 * rng.random(leaf.beta.shape)).astype(np.float32)
        weights = None if leaf.weights is None else rng.random(leaf.weights.shape, dtype=np.float32)
        return replace(leaf, alpha=alpha, beta=beta, weights=weights)

    def broken(leaf: LeafRecord) -> LeafRecord:
        def bad(values):
            found = values.copy()
            found[:] = np.resize(np.float32([np.nan, -1.0, np.inf, 1e38]), found.shape)
            return found
        return replace(leaf, beta=None if leaf.beta is None else bad(leaf.beta),
                       weights=None if leaf.weights is None else bad(leaf.weights))

    def turned(leaf: LeafRecord) -> LeafRecord:
        return leaf if leaf.signs is None else replace(leaf, signs=-leaf.signs)

    return {"noise": noise, "broken": broken, "turned": turned, "none": lambda leaf: LeafRecord()}[how]


@pytest.mark.parametrize("how", ["noise", "broken", "turned", "none"])
def test_wrong_evidence_is_replaced(relu_tree, how, tmp_path):
    question = replace(relu_tree, recording=changed(relu_tree.recording, wrong(how)))
    with np.errstate(all="raise"):
        question.accepted(tmp_path / "proof")


def test_no_lemmas_and_no_evidence(relu_tree, tmp_path):
    (own,) = without_evidence(relu_tree.recording).cases
    question = replace(relu_tree, recording=Recording((replace(own, refinements=()),)))
    assert question.accepted(tmp_path / "proof").resplit > 0


def test_wrong_lemmas_are_left_out(relu_tree, tmp_path):
    rng = np.random.default_rng(0)
    (own,) = relu_tree.recording.cases
    refinements = tuple(replace(r, alpha=rng.integers(0, 256, r.alpha.shape, dtype=np.uint8)) for r in own.refinements)
    twice = Recording((replace(own, refinements=refinements + own.refinements),))
    replace(relu_tree, recording=twice).accepted(tmp_path / "proof")


def test_a_single_leaf_is_split_into_a_tree(tmp_path):
    """Nothing but the claim: the writer finds the proof itself."""
    assert leaf_recording(hat(0.01)).accepted(tmp_path / "proof", "dyadic").resplit > 0


def with_root(tree: TreeRecord, split: SplitRecord, first: bool) -> TreeRecord:
    """A further split on top; the old tree is its first child or the second one, a plain leaf the other."""
    root, leaf = max(*tree.leaves, *tree.splits, 0) + 1, max(*tree.leaves, *tree.splits, 0) + 2
    pair = (tree.root, leaf) if first else (leaf, tree.root)
    return replace(tree, root=root, splits={**tree.splits, root: split}, children={**tree.children, root: pair},
                   leaves={**tree.leaves, leaf: PLAIN})


@pytest.mark.parametrize(("split", "first"), [
    (SplitRecord(INPUT, 0, 1.75), True), (SplitRecord(INPUT, 0, 2.5), True), (SplitRecord(INPUT, 0, 0.25), False),
    (SplitRecord(INPUT, 0, -1.0), False), (SplitRecord(0, 0), True), (SplitRecord(0, 2), False),
], ids=["at the upper end", "above", "at the lower end", "below", "always on", "always off"])
def test_splits_that_are_none_are_passed_over(split, first, tmp_path):
    question = searched(hat(0.25, 0.25, 1.75), "input" if split.layer == INPUT else "relu")
    (own,) = question.recording.cases
    before = question.accepted(tmp_path / "proof")
    tree = with_root(own.trees[0], split, first)
    assert replace(question, recording=Recording((replace(own, trees=(tree,)),))).accepted(tmp_path / "proof") == before


def test_the_same_bytes_twice(relu_tree, tmp_path):
    for name in ("first", "second"):
        relu_tree.write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_property(relu_tree, tmp_path):
    other = ask(relu_tree.network, floors(relu_tree.network, [-1] * 3, [1] * 3, (0.5, 0.5)))
    with pytest.raises(NoProof, match="reads the property differently"):
        replace(relu_tree, spec=other.spec).write(tmp_path / "proof")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("asked", [
    hat(-0.25), hat(0.0), ask(HAT, case([0], [2], [row({0: -1}, Fraction(9, 10)), row({0: 1}, -2)])),
    ask(HAT, case([0], [2], [row({0: 0}, -1)])),
], ids=["violated", "at the border", "two rows", "always unsafe"])
def test_what_does_not_hold(asked, tmp_path):
    with pytest.raises(NoProof):
        leaf_recording(asked).write(tmp_path / "proof", seconds=1.0)
    assert not list(tmp_path.iterdir())


def test_evidence_of_a_property_that_holds(tmp_path):
    """The recording of one property, offered for one that is violated."""
    good = searched(hat(0.01), "relu")
    with pytest.raises(NoProof):
        replace(hat(-0.01), recording=good.recording).write(tmp_path / "proof", seconds=1.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seconds", [0.0, 1e-3])
def test_a_spent_budget_leaves_what_was_there(relu_tree, seconds, tmp_path):
    path = tmp_path / "proof"
    path.write_bytes(b"old")
    with pytest.raises(NoProof, match="time limit"):
        relu_tree.write(path, seconds)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("error", "seen"), [
    (KeyboardInterrupt(), KeyboardInterrupt), (OSError(errno.ENOSPC, "No space left on device"), InvalidInput),
])
def test_an_interrupted_write_leaves_what_was_there(error, seen, monkeypatch, tmp_path):
    question, path = leaf_recording(hat(1.0)), tmp_path / "proof"
    path.write_bytes(b"old")

    def half(file, header, chunks):
        file.write(b"VNNPROOF")
        raise error

    monkeypatch.setattr(module, "write_container", half)
    with pytest.raises(seen):
        question.write(path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written(tmp_path):
    question = leaf_recording(hat(1.0))
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("missing/proof", "file/proof", "folder"):
        with pytest.raises(InvalidInput, match=f"{name} cannot be written: "):
            question.write(tmp_path / name)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidInput, match="Permission denied"):
        leaf_recording(hat(1.0)).write(tmp_path / "proof")


def test_a_network_that_the_checker_does_not_understand(tmp_path):
    question = leaf_recording(hat(1.0))
    with pytest.raises(NoProof, match="no proof: "):
        replace(question, network=b"\0" + question.network).write(tmp_path / "proof")
    assert not list(tmp_path.iterdir())


def test_the_header(relu_tree, tmp_path):
    written = relu_tree.write(tmp_path / "proof")
    header = open_container(tmp_path / "proof").header
    assert (header.claim, header.semantics, header.cases, header.leaves) == ("unsat", "real", 1, written.leaves)
    assert header.tool.startswith("verify ")


def test_progress_counts_leaves(relu_tree, tmp_path):
    seen = []
    written = module.write_proof(tmp_path / "proof", relu_tree.network, relu_tree.spec, relu_tree.asked,
                                 relu_tree.recording, "real", Budget(), seen.append)
    assert seen == sorted(seen) and seen[-1] == written.leaves


def test_spec_text_is_what_both_read(relu_tree):
    assert spec_text(relu_tree.asked).encode() == relu_tree.spec
