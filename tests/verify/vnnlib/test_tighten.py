"""Nothing is lost: points that meet limits and rows meet the sharper limits. What should be found is found."""

import random
from fractions import Fraction

import pytest

from verify.query import LinearConstraint
from verify.vnnlib.tighten import BITS, crossing, implied, never, tighten


def row(x, constant=0, strict=False, y=()):
    return LinearConstraint(tuple(y), Fraction(constant), tuple((k, Fraction(c)) for k, c in x), strict)


def limits(*pairs):
    return {(k, side): Fraction(v) for k, pair in enumerate(pairs) for side, v in enumerate(pair) if v is not None}


def value(h, x):
    return h.constant + sum(c * x[k] for k, c in h.x)


@pytest.mark.parametrize("seed", range(60))
def test_no_point_is_lost(seed):
    rng = random.Random(seed)
    old = limits(*([-rng.randint(0, 3), rng.randint(0, 3)] for _ in range(3)))
    rows = [row([(k, rng.choice([-2, -1, 1, Fraction(1, 3)])) for k in sorted(rng.sample(range(3), rng.randint(2, 3)))],
                Fraction(rng.randint(-6, 6), 4), rng.random() < 0.3) for _ in range(rng.randint(1, 3))]
    new = tighten(old, rows)
    assert all(new[k, True] <= old[k, True] and new[k, False] >= old[k, False] for k in range(3))
    for _ in range(300):
        x = [old[k, False] + (old[k, True] - old[k, False]) * Fraction(rng.randint(0, 12), 12) for k in range(3)]
        met = [value(h, x) < 0 or (value(h, x) == 0 and not h.strict) for h in rows]
        if all(met):
            assert crossing(new) is None and all(new[k, False] <= x[k] <= new[k, True] for k in range(3))
        if all(new[k, False] <= x[k] <= new[k, True] for k in range(3)):
            assert all(ok or not implied(new, h) for ok, h in zip(met, rows, strict=True))


def test_limits_that_were_missing():
    equal = [row([(0, 1), (1, -1)]), row([(0, -1), (1, 1)])]
    assert tighten(limits([0, 1], [None, None]), equal) == limits([0, 1], [0, 1])
    chain = [*equal, row([(1, 1), (2, -2)], 1), row([(1, -1), (2, 2)], -1)]
    assert tighten(limits([0, 1], [None, None], [None, None]), chain)[2, True] == 1
    assert tighten(limits([0, None], [0, None]), [row([(0, 1), (1, 1)], -3)]) == limits([0, 3], [0, 3])
    assert tighten(limits([0, 1], [None, None]), [row([(0, 1), (1, 1)])]) == {**limits([0, 1]), (1, True): 0}


def test_contradictions():
    assert crossing(tighten(limits([0, 1], [0, 1]), [row([(0, -1), (1, -1)], Fraction(5, 2))])) is not None
    assert crossing(limits([0, 1])) is None and crossing(limits([0, None])) is None
    assert never(row([], 1)) and never(row([], 0, True)) and not never(row([], 0)) and not never(row([(0, 1)], 1))


def test_rows_that_hold_on_the_box():
    box = limits([0, 1], [0, 1])
    assert implied(box, row([(0, 1), (1, 1)], -2)) and not implied(box, row([(0, 1), (1, 1)], -2, strict=True))
    assert not implied(box, row([(0, 1)], -1, y=[(0, Fraction(1))])) and not implied(limits([0, None]), row([(0, 1)]))


def test_without_rows_on_inputs_the_limits_are_left_alone():
    old = limits([0, 1])
    assert tighten(old, [row([(0, 1)], y=[(0, Fraction(1))])]) is old


def test_slow_convergence_ends_with_short_numbers():
    """x <= y / 3 + 1 and y <= x / 7: the limits approach their fixed point for ever."""
    rows = [row([(0, 1), (1, Fraction(-1, 3))], -1), row([(0, Fraction(-1, 7)), (1, 1)])]
    found = tighten(limits([0, 10**9], [0, 10**9]), rows)
    fixed = Fraction(21, 20)
    assert fixed <= found[0, True] < fixed * Fraction(101, 100)
    assert all(v.denominator.bit_length() <= 4 * BITS for v in found.values())
