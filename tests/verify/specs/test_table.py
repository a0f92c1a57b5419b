"""Tables, against all their choices and samples of their ranges."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from tests.verify.specs.models import check, dense, outputs
from verify import specs
from verify.errors import InvalidInput
from verify.pipeline import Problem
from verify.result import Verdict

FEATURES = [specs.Range("age", 0, 1), specs.Integer("kids", 0, 3), specs.OneHot("home", ("rent", "own", "other")),
            specs.Fixed("year", 0.5)]
RELATION = specs.Relation({"age": 2, "kids": Fraction(1, 2), "home=own": 1}, at_most=2)


def rows():
    found = [[age, kids, *np.eye(3)[home], 0.5]
             for age, kids, home in itertools.product(np.linspace(0, 1, 41), range(4), range(3))]
    return np.array([row for row in found if 2 * row[0] + row[1] / 2 + row[3] <= 2])


@pytest.mark.parametrize("few", [64, 3, 1])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("gap", [-0.3, 0.3])
def test_agree_with_all_rows(few, seed, gap):
    """Some output bound lies a little above or below the true minimum."""
    net, points = dense(6, 8, 1, seed=seed), rows()
    y = outputs(net, points)[:, 0]
    limit = float(y.min() - gap * np.ptp(y))
    question = specs.ask(net.float(), specs.table(FEATURES, [RELATION], few), specs.positive([[1.0]], -limit))
    result = check(question, y <= limit, timeout=5)
    if gap < 0:
        assert result.verdict is Verdict.FALSIFIED
    else:
        assert result.verdict is Verdict.VERIFIED or (few < 64 and result.verdict is Verdict.UNKNOWN)
    assert len(question.spec.cases) == {64: 11, 3: 3, 1: 1}[few]
    assert question.note == {64: "", 3: "a proof holds for the hull of kids, only true rows are counterexamples",
                             1: "a proof holds for the hull of kids, home, only true rows are counterexamples"}[few]
    if result.witness is not None:
        age, kids, *home, year = result.witness.x.astype(float)
        assert kids in range(4) and sorted(home) == [0, 0, 1] and year == 0.5 and 0 <= age <= 1
        assert 2 * Fraction(age) + Fraction(kids) / 2 + Fraction(home[1]) <= 2
        assert question.describe(result.witness).startswith("age ")


def test_only_true_rows_count():
    question = specs.ask(dense(6, 1), specs.table(FEATURES, [RELATION], 1), specs.within([50.0], [60.0]))
    replayer = Problem(question.network, question.spec).replayer
    assert replayer.check(np.array([0, 1, 1, 0, 0, 0.5])) is not None
    for wrong in ([0, 0.5, 1, 0, 0, 0.5], [0, 1, 0.5, 0.5, 0, 0.5], [0, 1, 1, 1, 0, 0.5], [1, 1, 1, 0, 0, 0.5]):
        assert replayer.check(np.array(wrong)) is None


def test_relations_sharpen_the_boxes():
    region = specs.table([specs.Range("a", 0, 10), specs.Range("b", 0, 10)],
                         [specs.Relation({"a": 1, "b": 1}, at_most=3)])
    assert region.pieces[0].box.upper.tolist() == [3.0, 3.0]
    region = specs.table([specs.Range("a", 0, 10), specs.Integer("n", 0, 9)],
                         [specs.Relation({"a": -1, "n": 1}, at_most=-8)])
    assert len(region.pieces) == 3, "choices without a row are no pieces"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: specs.table([]), "a table has at least one feature"),
    (lambda: specs.table([FEATURES[0], FEATURES[0]]), "two features are called 'age'"),
    (lambda: specs.table(FEATURES, [specs.Relation({"size": 1})]), "a relation reads 'size'; the columns are age, "),
    (lambda: specs.table(FEATURES, [specs.Relation({"year": 1}, 0)]), "the relations contradict the ranges"),
])
def test_bad_input(make, message):
    with pytest.raises(InvalidInput, match=message):
        make()
