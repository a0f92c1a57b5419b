"""The property files hold the ball, and say what `verify.robustness` says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

import verify
from training.properties import robustness_text, write_properties


def test_the_box_contains_the_ball_tightly(tmp_path):
    image = torch.rand(1, 2, 3, generator=torch.Generator().manual_seed(0))
    image[0, 0, 0], image[0, 0, 1] = 0.0, 1.0
    (path,) = write_properties(tmp_path / "deep", image[None], torch.tensor([2]), [7], 0.1, 3)
    assert path.name == "image_7.vnnlib"
    written, direct = verify.read_spec(path), verify.robustness(image, 0.1, 2, 3, clip=(0, 1))
    box, ball = written.cases[0].box, direct.cases[0].box
    assert (box.lower <= ball.inner_lower).all() and (box.upper >= ball.inner_upper).all()
    assert np.abs(box.lower - ball.lower).max() < 1e-8 and np.abs(box.upper - ball.upper).max() < 1e-8
    assert box.lower.min() == 0 and box.upper.max() == 1
    assert {frozenset(d) for d in written.cases[0].disjuncts} == {frozenset(d) for d in direct.cases[0].disjuncts}


def test_limits_are_rounded_outward():
    text = robustness_text(torch.tensor([1 / 3]), 0, 1e-3, 2)
    low, high = (Fraction(line.split()[-1].rstrip(")")) for line in text.splitlines() if "= X_0 " in line)
    pixel = Fraction(float(torch.tensor(1 / 3)))
    assert low <= pixel - Fraction(1e-3) < low + Fraction(1, 10**8)
    assert high >= pixel + Fraction(1e-3) > high - Fraction(1, 10**8)
