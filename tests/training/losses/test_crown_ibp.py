from __future__ import annotations

import pytest
import torch

from tests.training.test_step import step_of
from training.losses.crown_ibp import chords, fused, upper_bound
from training.losses.ibp import bounds, margins, worst_case
from verify.sets import Interval


def test_chords_are_above_exp():
    low = torch.randn(3, 5, dtype=torch.float64)
    width = torch.tensor([0.0, 1e-9, 1e-5, 0.5, 3.0], dtype=torch.float64)
    margin, shift = Interval(low, low + width), torch.full((3, 1), 2.0, dtype=torch.float64)
    slope, intercept = chords(margin, shift)
    for share in torch.linspace(0, 1, 11):
        z = margin.lower + share * width
        assert bool((slope * z + intercept >= torch.exp(z - shift) - 1e-12).all())
    ends = slope * margin.upper + intercept - torch.exp(margin.upper - shift)
    assert float(ends.abs().max()) < 1e-9  # and touch at the ends


def prepared(eps: float):
    step = step_of("crown-ibp")
    step.model[3].eval()
    step.forward(step.x)
    return step, bounds(step, eps)


def test_the_fused_row_bounds_the_sum_of_exponentials():
    step, (graph, box, found) = prepared(0.03)
    margin = margins(graph, found, step.y)
    shift = torch.zeros(len(step.y), 1)
    bound = upper_bound(graph, box, found, step.y, chords(margin, shift))
    worst = torch.exp(margin.upper).sum(1)
    for n in range(len(step.y)):
        logits = graph.evaluate(box[n : n + 1].sample(200)).squeeze(1)
        total = torch.exp(logits - logits[:, step.y[n], None]).sum(1)
        assert total.max().item() <= bound[n].item() + 1e-5
    assert float(bound.mean()) < float(worst.mean())


def test_without_crown_it_is_the_loss_of_ibp_and_mixtures_lie_between():
    step, parts = prepared(0.03)
    plain = float(worst_case(margins(parts[0], parts[2], step.y), step.y))
    losses = [float(fused(*parts, step.y, beta)) for beta in (0.0, 0.5, 1.0)]
    assert losses[0] == pytest.approx(plain, abs=1e-5) and losses[2] < losses[1] < losses[0]


def test_large_margins_do_not_overflow():
    step, _ = prepared(0.4)
    with torch.no_grad():
        step.model[7].weight *= 1e4
    step.forward(step.x)
    loss = fused(*bounds(step, 0.4), step.y, 0.5)
    loss.backward()
    assert bool(torch.isfinite(loss)) and all(bool(torch.isfinite(p.grad).all()) for p in step.model.parameters())
