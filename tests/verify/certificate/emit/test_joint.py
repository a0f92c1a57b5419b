"""Combinations of rows against brute force, linear bounds against samples, cuts by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.soundness.nets import case, dense, row
from tests.verify.certificate.proofs import ask, collapsed, points, random_layers, row_values
from verify.certificate.checker import nodes
from verify.certificate.emit.joint import RowForms, _ascend, _simplex
from verify.certificate.emit.leaves import evaluated


def test_projection_on_convex_weights():
    rng = np.random.default_rng(0)
    for r in (1, 2, 5):
        given = 3 * rng.standard_normal((50, r))
        found = _simplex(given)
        assert np.allclose(found.sum(1), 1) and (found >= 0).all()
        others = rng.dirichlet(np.ones(r), 200)
        nearest = ((others[None] - given[:, None]) ** 2).sum(2).min(1)
        assert (((found - given) ** 2).sum(1) <= nearest + 1e-9).all()
        assert np.allclose(_simplex(found), found)


def least(weights, coefficient, offset, center, radius):
    """Of the combined forms over the boxes, (n,)."""
    combined = np.einsum("nr,nri->ni", weights, coefficient)
    return (weights * offset).sum(1) + (combined * center).sum(1) - (np.abs(combined) * radius).sum(1)


def test_ascent_is_never_worse_than_the_best_row_and_near_the_optimum():
    rng = np.random.default_rng(1)
    n, r, i = 20, 3, 2
    coefficient, offset = rng.standard_normal((n, r, i)), rng.standard_normal((n, r))
    center, radius = rng.standard_normal((n, i)), rng.random((n, i))
    weights = _ascend(coefficient, offset, center, radius)
    assert np.allclose(weights.sum(1), 1) and (weights >= 0).all()
    found = least(weights, coefficient, offset, center, radius)
    corners = [least(np.tile(np.eye(r)[k], (n, 1)), coefficient, offset, center, radius) for k in range(r)]
    assert (found >= np.max(corners, axis=0) - 1e-12).all()
    grid = rng.dirichlet(np.ones(r), 2000)
    best = np.max([least(np.tile(w, (n, 1)), coefficient, offset, center, radius) for w in grid], axis=0)
    assert (found >= best - 0.3 * (1 + np.abs(best))).all() and np.mean(best - found) < 0.1


@pytest.fixture(scope="module")
def two_rows():
    network = random_layers(3, (3, 10, 8, 2))
    rows = [row({0: 1}, Fraction(1, 2)), row({1: 1, 0: -1}, 0, {0: Fraction(1, 4)})]
    return ask(network, case([-1] * 3, [1] * 3, rows, [rows[1]]))


def test_forms_are_below_the_rows(two_rows):
    place, disjuncts = collapsed(two_rows)
    parts = [*nodes.halves(place.domain, 0, 0.25), *nodes.halves(place.domain, 2, -0.5)]
    forms = RowForms.of(place.domain.context.net, parts, disjuncts)
    assert forms.rows == [0, 1]
    for k, domain in enumerate(parts):
        x = points(domain.x_lower, domain.x_upper)
        assert (x @ forms.coefficient[k].T + forms.offset[k] <= row_values(two_rows, x) + 1e-9).all()


def test_joint_weights_prove_what_no_row_proves():
    """Of |x| - 1/8 and 3/8 - |x| one is positive everywhere, their sum always."""
    network = dense([([[1], [-1]], [0, 0]), ([[1, 1], [-1, -1]], [0, 0.5])])
    asked = ask(network, case([-1], [1], [row({0: 1}, Fraction(-1, 8)), row({1: 1}, Fraction(-1, 8))]))
    place, disjuncts = collapsed(asked)
    part = nodes.halves(place.domain, 0, 0.0)[1]
    forms = RowForms.of(part.context.net, [part], disjuncts)
    (weights,) = forms.joint_weights(disjuncts)
    plain = nodes.Leaf(part, True, None, None, None)
    joint = nodes.Leaf(part, True, None, None, weights)
    margins = evaluated(part.context.net, [plain, joint, None], disjuncts)
    assert margins[0] < 0 < margins[1] and margins[2] == -np.inf


def test_single_rows_need_no_weights(two_rows):
    place, _ = collapsed(two_rows)
    forms = RowForms.of(place.domain.context.net, [place.domain] * 2, [[0], [1]])
    assert forms.joint_weights([[0], [1]]) == [None, None]


def test_the_widest_effect_by_hand():
    """h = x0 + 3 x1: on a box of widths 4 and 1 the first input counts more, on widths 1 and 1 the second one."""
    network = dense([([[1, 3]], [0])])
    asked = ask(network, case([-2, 0], [2, 1], [row({0: 1})]))
    place, disjuncts = collapsed(asked)
    narrow = nodes.halves(nodes.halves(place.domain, 0, 0.0)[0], 0, -1.0)[0]
    forms = RowForms.of(place.domain.context.net, [place.domain, narrow], disjuncts)
    assert forms.widest_effects(disjuncts).tolist() == [0, 1]


def test_without_rows_the_widest_input():
    place, _ = collapsed(ask(dense([([[1, 3]], [0])]), case([-2, 0], [2, 1], [row({0: 1})])))
    forms = RowForms.of(place.domain.context.net, [place.domain], [[]])
    assert forms.widest_effects([[]]).tolist() == [0] and forms.joint_weights([[]]) == [None]
