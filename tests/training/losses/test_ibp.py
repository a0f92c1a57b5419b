from __future__ import annotations

import pytest
import torch.nn.functional as F
from torch import nn

from tests.training.test_step import step_of
from training.losses import ibp
from training.losses.ibp import bounds, margins, worst_case
from verify.bounds.walk import forward


def found(step, eps=0.05):
    step.forward(step.x)
    return bounds(step, eps)


@pytest.mark.parametrize("few", [0, 32])
def test_merged_margins_enclose_samples_and_are_tighter(monkeypatch, few):
    monkeypatch.setattr(ibp, "FEW_CLASSES", few)
    step = step_of("ibp")
    graph, box, intervals = found(step)
    margin = margins(graph, intervals, step.y)
    every = forward(graph, box, rounded=False)[graph.output]
    loose = every.upper.squeeze(1) - every.lower.squeeze(1).gather(1, step.y[:, None])
    other = ~F.one_hot(step.y, 4).bool()
    assert bool((margin.upper <= loose + 1e-5)[other].all()) and bool((margin.upper < loose - 1e-4)[other].any())
    assert not bool(margin.upper[~other].any()) and not bool(margin.lower[~other].any())
    for n in range(len(step.x)):
        logits = graph.evaluate(box[n : n + 1].sample(100)).squeeze(1)
        value = logits - logits[:, step.y[n], None]
        assert bool((margin.lower[n] - 1e-5 <= value).all() and (value <= margin.upper[n] + 1e-5).all())


def test_a_network_that_does_not_end_in_a_linear_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.ReLU())
    step = step_of("ibp", model)
    graph, _, intervals = found(step)
    margin = margins(graph, intervals, step.y)
    value = model(step.x) - model(step.x).gather(1, step.y[:, None])
    assert bool((margin.lower - 1e-5 <= value).all() and (value <= margin.upper + 1e-5).all())


def test_the_worst_case_of_a_point_is_the_clean_loss():
    step = step_of("ibp")
    step.model[3].eval()
    graph, _, intervals = found(step, eps=0.0)
    loss = worst_case(margins(graph, intervals, step.y), step.y)
    assert float(loss) == pytest.approx(float(F.cross_entropy(step.logits, step.y)), abs=1e-5)


def test_it_is_differentiable_through_batch_statistics():
    step = step_of("ibp")
    graph, _, intervals = found(step)
    worst_case(margins(graph, intervals, step.y), step.y).backward()
    assert all(bool(p.grad.abs().sum() > 0) for name, p in step.model.named_parameters() if name != "0.bias")
