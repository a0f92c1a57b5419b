"""Pairs of rows that differ in one feature, against all of them."""

import itertools

import numpy as np
import pytest

from tests.verify.specs.models import classes, dense
from verify import specs
from verify.errors import InvalidInput
from verify.result import Verdict

FEATURES = [specs.Range("age", -1, 1), specs.OneHot("sex", ("f", "m", "x")), specs.Integer("kids", 0, 2)]


def pairs():
    grid = itertools.product(np.linspace(-1, 1, 101), range(3), itertools.combinations(range(3), 2))
    return np.array([[[age, *np.eye(3)[s], kids] for s in both] for age, kids, both in grid])


@pytest.mark.parametrize("few", [64, 3])
@pytest.mark.parametrize("weight", [0.0, 0.02, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_agree_with_all_pairs(seed, weight, few):
    net = dense(5, 6, 2, seed=seed)
    net[0].weight.data[:, 1:4] *= weight
    net[-1].bias.data[0] += 0.2
    changed = classes(net, pairs()[:, 0]) != classes(net, pairs()[:, 1])
    net.float()
    question = specs.ask(net, specs.counterfactual(FEATURES, "sex", few=few), specs.same_class())
    result = question.solve(timeout=5)
    assert not (result.verdict is Verdict.VERIFIED and changed.any())
    if few == 64:
        if changed.any():
            assert result.verdict is Verdict.FALSIFIED
        assert len(question.spec.cases) == 9
    if result.witness is not None:
        first, second = question.point(result.witness)
        assert (first[[0, 4]] == second[[0, 4]]).all() and first[4] in (0, 1, 2)
        assert all(sorted(row[1:4]) == [0, 0, 1] for row in (first, second))
        y, other = result.witness.y[:2], result.witness.y[2:]
        assert y.argmax() != other.argmax() or np.ptp(y) == 0 or np.ptp(other) == 0
        assert "; with sex " in question.describe(result.witness)


def test_constant_differences_are_proved():
    net = dense(5, 6, 2)
    net[0].weight.data[:, 1:4] = 0
    net[-1].weight.data[0], net[-1].bias.data[0] = 0, 9.0
    question = specs.ask(net, specs.counterfactual(FEATURES, "sex"), specs.same_class())
    assert question.solve(timeout=5).verdict is Verdict.VERIFIED


def test_relations_hold_for_both_rows():
    """Only category x may exceed age 0, so that a pair with another category does not."""
    relations = [specs.Relation({"age": 1, "sex=x": -1})]
    region = specs.counterfactual(FEATURES, "sex", relations)
    assert all(piece.box.upper[0] == 0 for piece in region.pieces) and len(region.pieces) == 9


@pytest.mark.parametrize(("make", "message"), [
    (lambda: specs.counterfactual(FEATURES, "race"), "there is no feature 'race'; the features are age, sex, kids"),
    (lambda: specs.counterfactual(FEATURES, "age"), "the protected feature age must have at least two choices"),
    (lambda: specs.counterfactual(FEATURES, "sex", [specs.Relation({"sex=f": 1, "sex=m": 1, "sex=x": 1}, 0)]),
     "the relations leave no two rows that differ in sex only"),
])
def test_bad_input(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
