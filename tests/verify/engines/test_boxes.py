import math
from fractions import Fraction

import numpy as np
import torch

from tests.verify.bounds.networks import ALL
from verify.budget import Budget
from verify.engines.boxes import settle_boxes
from verify.query import Case, InputBox, LinearConstraint


def case_of(lower, upper, *disjuncts):
    return Case(InputBox.from_floats(lower, upper), disjuncts)


def row(constant, *terms, x=()):
    return LinearConstraint(tuple((k, Fraction(c)) for k, c in terms), Fraction(constant),
                            tuple((k, Fraction(c)) for k, c in x))


def test_margins_stay_below_sampled_values():
    graph = ALL["mlp"](3)
    size = math.prod(graph.input.shape)
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(40):
        center = rng.uniform(-1, 1, size)
        cases.append(case_of(center - 0.05, center + 0.05, (row(0.5, (0, 1)), row(-0.25, (1, -2), x=((0, 1),))),
                             (row(1, (0, 1), (1, 1)),)))
    margins = settle_boxes(graph, cases, Budget())
    for case, margin in zip(cases, margins, strict=True):
        x = torch.from_numpy(rng.uniform(case.box.lower, case.box.upper, (200, size)))
        y = graph.evaluate(x.reshape(-1, *graph.input.shape)).flatten(1).numpy()
        for point, value in zip(x.numpy(), y, strict=True):
            least = min(max(float(h.value(point, value)) for h in disjunct) for disjunct in case.disjuncts)
            assert least >= margin
    assert max(margins) > 0 and math.isfinite(min(margins))


def test_what_cannot_be_said_is_minus_infinity():
    graph = ALL["mlp"](3)
    size = math.prod(graph.input.shape)
    zero = np.zeros(size)
    margins = settle_boxes(graph, [
        case_of(zero, zero + 0.1, ()),                                     # a disjunct without rows is always unsafe
        case_of(zero + 0.1, zero, (row(1),)),                              # an empty box is somebody else's business
        case_of(zero, zero, (row(Fraction(1, 10**400)),)),                 # no float64 holds this constant
        case_of(zero, zero + 0.1),                                         # nothing is unsafe
    ], Budget())
    assert margins[:3] == [-math.inf] * 3 and margins[3] == math.inf
    assert settle_boxes(graph, [case_of(zero, zero, (row(1),))], Budget(deadline=-1.0)) == [-math.inf]
