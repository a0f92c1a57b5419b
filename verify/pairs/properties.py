"""Properties of two networks, as unsafe sets over their outputs (y, y') (`verify.pairs.problem`).

    equivalence   |y_j - y'_j| <= delta for all outputs j
    agreement     both networks have their largest (smallest) output at the same place; a tie counts as unsafe
    monotone      y_j <= y'_j + delta where x' exceeds x in the raised coordinates (the same network twice), or
                  y_j >= y'_j - delta for outputs that are to fall

Numbers mean exactly the floats or fractions given.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verify.errors import InvalidInput
from verify.pairs.tie import Tie
from verify.query import Case, Disjunct, InputBox, LinearConstraint, Spec

Number = float | Fraction


def equivalence(box: InputBox, outputs: int, delta: Number) -> Spec:
    """No output of the two networks differs by more than `delta` on the box."""
    limit = _limit(delta)
    disjuncts = tuple((_row({j: sign, outputs + j: -sign}, limit, strict=True),)
                      for j in range(outputs) for sign in (-1, 1))
    return _spec(box, outputs, disjuncts, "equivalence")


def agreement(box: InputBox, outputs: int, best: str = "max") -> Spec:
    """The largest output (`best` = "min": the smallest) is at the same place in both networks on the whole box."""
    if best not in ("max", "min"):
        raise InvalidInput(f"the best output is the max or the min, got {best!r}")
    if outputs < 2:
        raise InvalidInput("agreement needs at least two outputs; with one, use equivalence")
    sign = 1 if best == "max" else -1

    def wins(j: int, offset: int) -> list[LinearConstraint]:
        """y_k - y_j <= 0 for all k (>= for the smallest)."""
        return [_row({offset + k: sign, offset + j: -sign}, Fraction(0)) for k in range(outputs) if k != j]

    disjuncts = tuple((*wins(i, 0), *wins(j, outputs)) for i in range(outputs) for j in range(outputs) if i != j)
    return _spec(box, outputs, disjuncts, "agreement")


def monotone(box: InputBox, outputs: int, tie: Tie, rising: Sequence[int] | None = None, falling: Sequence[int] = (),
             delta: Number = 0) -> Spec:
    """Where x' >= x in the raised coordinates of `tie` and x' = x in the others, both in the box, the outputs `rising`
    (all that do not fall, if None) do not fall by more than `delta`, and the outputs `falling` do not rise by more."""
    limit = _limit(delta)
    rising = [j for j in range(outputs) if j not in falling] if rising is None else rising
    wanted = [(j, -1) for j in rising] + [(j, 1) for j in falling]
    if not tie.raised:
        raise InvalidInput("monotonicity needs at least one coordinate that is raised")
    if not wanted or not all(0 <= j < outputs for j, _ in wanted):
        raise InvalidInput(f"outputs {[j for j, _ in wanted]}: expected some of 0 to {outputs - 1}")
    size = box.lower.size
    tie.check(size)
    widths = [Fraction(float(box.upper[i])) - Fraction(float(box.lower[i])) for i in tie.raised]
    rises = InputBox.exact([Fraction(0)] * len(widths), widths)
    joint = InputBox(*(np.concatenate([getattr(part, name) for part in (box, rises)])
                       for name in ("lower", "upper", "inner_lower", "inner_upper")))
    inside = tuple(LinearConstraint((), -Fraction(float(box.upper[i])), ((i, Fraction(1)), (size + k, Fraction(1))))
                   for k, i in enumerate(tie.raised))
    disjuncts = tuple((_row({j: sign, outputs + j: -sign}, limit, strict=True), *inside) for j, sign in wanted)
    return Spec(size + len(widths), 2 * outputs, (Case(joint, disjuncts),), "monotonicity")


def _limit(delta: Number) -> Fraction:
    try:
        limit = Fraction(delta)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"delta is a finite number, got {delta}") from error
    if limit < 0:
        raise InvalidInput(f"delta must not be negative, got {delta}")
    return limit


def _row(y: dict[int, int], constant: Fraction, strict: bool = False) -> LinearConstraint:
    return LinearConstraint(tuple((k, Fraction(c)) for k, c in sorted(y.items())), constant, strict=strict)


def _spec(box: InputBox, outputs: int, disjuncts: tuple[Disjunct, ...], name: str) -> Spec:
    return Spec(box.lower.size, 2 * outputs, (Case(box, disjuncts),), name)
