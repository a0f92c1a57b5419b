"""Laws of the primitives: pull is the adjoint of forward, spread is |W| r, exact numbers pass through unchanged."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from verify.certificate.checker.ops import Conv, Dense, Op, Relu, Scale, Sum, Take

rng = np.random.default_rng(11)


def small(*shape: int) -> np.ndarray:
    """Dyadic numbers with few bits: all sums and products are exact in float64."""
    return rng.integers(-8, 9, shape) / 4.0


CASES = {
    "reshape": (Take(np.arange(6).reshape(3, 2)), [(2, 3)]),
    "part": (Take(np.array([1, 0])), [(3,)]),
    "repeats": (Take(np.array([[0, 0, 5], [-1, 0, 3]])), [(2, 3)]),
    "joined": (Take(np.array([7, 6, 0, 7, -1])), [(2, 3), (2,)]),
    "only padding": (Take(np.array([-1, -1])), [(3,)]),
    "scale": (Scale(small(2, 3), small(2, 3)), [(2, 3)]),
    "shift": (Scale(np.ones((2, 3)), small(2, 3)), [(2, 3)]),
    "plain scale": (Scale(small(2, 3)), [(2, 3)]),
    "sum": (Sum((1, 1)), [(2, 3), (2, 3)]),
    "difference": (Sum((-1, 1, -1)), [(2,), (2,), (2,)]),
    "dense": (Dense(small(4, 3), small(4)), [(1, 3)]),
    "dense without bias": (Dense(small(1, 3)), [(2, 5, 3)]),
    "constant": (Take(np.arange(-6, 0).reshape(2, 3), small(6)), []),
    "padded": (Take(np.array([[0, -1], [-2, 0]]), small(2)), [(2, 3)]),
    "conv": (Conv(small(4, 2, 3, 2), small(4), (1, 1), (0, 0, 0, 0), (1, 1), 1), [(1, 2, 5, 6)]),
    "conv, all at once": (Conv(small(4, 1, 2, 3), small(4), (2, 3), (1, 0, 2, 1), (2, 1), 2), [(2, 2, 6, 7)]),
    "conv, unread edge": (Conv(small(2, 2, 2, 2), None, (3, 3), (0, 0, 0, 0), (1, 1), 1), [(1, 2, 7, 7)]),
}


def matrix(op: Op, shapes: list[tuple[int, ...]]) -> np.ndarray:
    """W as a dense matrix, by forward passes of unit vectors minus that of zero."""
    sizes = [int(np.prod(shape)) for shape in shapes]
    zero = op.forward([np.zeros(shape) for shape in shapes]).ravel()
    columns = []
    for unit in np.eye(sum(sizes)):
        parts = np.split(unit, np.cumsum(sizes)[:-1])
        xs = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
        columns.append(op.forward(xs).ravel() - zero)
    return np.array(columns).T.reshape(zero.size, sum(sizes))


@pytest.mark.parametrize("name", CASES)
def test_rows_are_pulled_through_the_transposed_matrix(name, monkeypatch):
    monkeypatch.setattr("verify.certificate.checker.ops.CHUNK", 50)
    op, shapes = CASES[name]
    weight, out = matrix(op, shapes), op.forward([np.zeros(shape) for shape in shapes])
    rows = small(5, *out.shape)
    pulled = op.pull(rows, shapes)
    assert [part.shape for part in pulled] == [(5, *shape) for shape in shapes]
    flat = [part.reshape(5, -1) for part in pulled]
    assert np.array_equal(np.concatenate([np.zeros((5, 0)), *flat], axis=1), rows.reshape(5, -1) @ weight)
    offset = op.offset()
    assert np.array_equal(out, np.zeros(out.shape) if offset is None else np.broadcast_to(offset, out.shape))


@pytest.mark.parametrize("name", CASES)
def test_spread_is_the_product_with_absolute_values(name):
    op, shapes = CASES[name]
    radii = [np.abs(small(*shape)) for shape in shapes]
    flat = np.concatenate([np.zeros(0), *(r.ravel() for r in radii)])
    assert np.array_equal(op.spread(radii).ravel(), np.abs(matrix(op, shapes)) @ flat)


@pytest.mark.parametrize("name", CASES)
def test_terms_bounds_the_products_of_an_entry(name):
    op, shapes = CASES[name]
    nonzero = matrix(op, shapes) != 0
    assert op.terms >= max(nonzero.sum(0).max(initial=0), nonzero.sum(1).max(initial=0))
    assert np.all(op.uncertainty([np.ones(shape) for shape in shapes]) == 0)


@pytest.mark.parametrize("name", CASES)
def test_exact_numbers_give_the_same_as_floats(name):
    op, shapes = CASES[name]
    lift = np.vectorize(Fraction, otypes=[object])
    exact, xs = op.cast(lift), [small(*shape) for shape in shapes]
    out = op.forward(xs)
    rows = small(3, *out.shape)
    y = exact.forward([lift(x) for x in xs])
    assert y.dtype == object and np.array_equal(y.astype(np.float64), out)
    for mine, other in zip(exact.pull(lift(rows), shapes), op.pull(rows, shapes), strict=True):
        assert np.array_equal(mine.astype(np.float64), other)
    radii = exact.spread([lift(np.abs(x)) for x in xs])
    assert np.array_equal(radii.astype(np.float64), op.spread([np.abs(x) for x in xs]))
    assert type(exact) is type(op) and exact.roundings == op.roundings and exact.terms == op.terms


def test_moves_and_constants_are_not_charged_in_float32():
    assert Take(np.arange(3)).roundings is None and Relu().roundings is None
    assert Sum((1, 1)).roundings == 1 and Sum((1, 1), None).roundings is None


def test_uncertainty_is_linear_in_the_magnitudes():
    op = Scale(np.ones(2), np.ones(2), np.array([2.0**-40, 0]))
    found = op.uncertainty([np.array([4.0, 4.0])])
    assert 2.0**-38 <= found[0] <= 2.0**-38 * (1 + 2.0**-40) and found[1] == 0


def test_pulling_through_a_convolution_equals_torch():
    op = Conv(rng.standard_normal((8, 4, 3, 3)), None, (2, 1), (1, 1, 1, 1), (1, 2), 1)
    rows = rng.standard_normal((7, 1, 8, 5, 6))
    mine = op.pull(rows, [(1, 4, 9, 8)])[0][:, 0]
    x = torch.zeros(7, 4, 9, 8, dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.conv2d(x, torch.from_numpy(op.weight), None, (2, 1), (1, 1), (1, 2))
    y.backward(torch.from_numpy(rows[:, 0]))
    assert np.abs(mine - x.grad.numpy()).max() < 1e-12
