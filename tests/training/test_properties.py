"""The property files hold the ball, and say what `verify.robustness` says."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch

import verify
from training.evaluation import Evaluation, Image
from training.properties import robustness_text, write_examples, write_properties


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


def test_examples_are_what_can_be_proved_first(tmp_path):
    statuses = ("attacked", "misclassified", "undecided", "verified", "verified")
    images = tuple(Image(10 + k, k % 2, k % 2, status) for k, status in enumerate(statuses))
    found = Evaluation("n", "0" * 64, 1, 1, 1, (1, 1, 2), 2, 0.1, None, "CROWN", (), images, ())
    x, labels = torch.rand(5, 1, 1, 2), torch.tensor([0, 1, 0, 1, 0])
    names = [path.name for path in write_examples(tmp_path, found, x, labels, 3)]
    assert names == ["image_13.vnnlib", "image_14.vnnlib", "image_12.vnnlib"]
    assert (tmp_path / "image_13.vnnlib").read_text() == robustness_text(x[3], 1, 0.1, 2)
    assert len(write_examples(tmp_path / "all", found, x, labels, 9)) == 4
