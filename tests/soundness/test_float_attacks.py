"""What is proved of networks that were built to fool floating-point provers: never the wrong thing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.soundness.executions import execute
from tests.soundness.float_attacks import Attack, attacks
from tests.soundness.nets import PROVERS
from verify.budget import Budget
from verify.onnx_import import from_bytes
from verify.pipeline import Problem, solve
from verify.query import Spec

ATTACKS = {attack.name: attack for attack in attacks()}


def answers(attack: Attack, semantics: str, engines=(*PROVERS, "portfolio")) -> set[str]:
    network = from_bytes(attack.model)
    spec = Spec(int(np.prod(network.input_shape)), 1, (attack.case,), attack.name)
    problem = Problem(network, spec, semantics)
    return {solve(problem, engine, Budget.seconds(1.0), "cpu", dtype).as_vnncomp
            for engine in engines for dtype in ("float64", "float32")}


@pytest.mark.parametrize("name", ATTACKS)
def test_executions_are_unsafe_where_they_are_said_to_be(name):
    attack, network = ATTACKS[name], from_bytes(ATTACKS[name].model)
    rng, (h,) = np.random.default_rng(0), attack.case.disjuncts[0]
    box, unsafe = attack.case.box, False
    for _ in range(200):
        x = np.where(rng.random(box.lower.size) < 0.5, box.inner_lower, box.inner_upper).astype(np.float32)
        if name == "narrow":
            x = minimiser(network.graph, box)
        y = execute(network.declared, x, rng)[network.declared.output].reshape(-1)
        value = float(h.constant) + sum(float(c) * float(y[k]) for k, c in h.y)
        unsafe = unsafe or value <= 0
    assert unsafe == attack.crossed


def minimiser(graph, box) -> np.ndarray:
    """The corner of the box where an affine network of one output is least."""
    x = torch.zeros(1, *graph.input.shape, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(graph.evaluate(x).sum(), x)
    return np.where(slope.numpy().reshape(-1) > 0, box.inner_lower, box.inner_upper).astype(np.float32)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_claim_over_the_reals_stays_true(name):
    attack = ATTACKS[name]
    found = answers(attack, "real")
    assert attack.holds or "unsat" not in found
    assert "unsat" in found or not (attack.holds and attack.provable)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_claim_about_executions_is_not_given(name):
    assert "unsat" not in answers(ATTACKS[name], "float32")
