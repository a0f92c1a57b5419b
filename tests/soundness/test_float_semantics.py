"""Every engine under float32 semantics: what an execution violates is never proved, what has a margin is."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.soundness.curved_networks import CURVED, DECLARED, curved_model
from tests.soundness.executions import execute
from tests.soundness.nets import PROVERS, row
from tests.soundness.random_networks import IMAGES, KINDS, Builder
from verify.budget import Budget
from verify.errors import UnsupportedOperator
from verify.onnx_import import Network, from_bytes
from verify.pipeline import Problem, solve
from verify.query import Case, InputBox, Spec

ENGINES = (*PROVERS, "portfolio")
SMOOTH = tuple(build.__name__ for build in DECLARED)
"""Kinds of networks with curves or products whose float32 accuracy is declared."""


def drawn(kind: str, seed: int, radius: float) -> tuple[Network, InputBox, np.random.Generator]:
    rng = np.random.default_rng(seed)
    shape = (1, 1, 3, 3) if KINDS.get(kind) in IMAGES else (1, 3)
    if kind in SMOOTH:
        network = from_bytes(curved_model(kind, rng, 3))
    else:
        builder = Builder(rng, shape)
        network = from_bytes(builder.model(*KINDS[kind](builder)))
    center = rng.uniform(-1, 1, int(np.prod(shape))).astype(np.float32)
    return network, InputBox.from_floats(*((center + s * np.float32(radius)).astype(np.float32) for s in (-1, 1))), rng


def low_corner(network: Network, box: InputBox) -> np.ndarray:
    """The point of the box, among corners and random ones, where output 0 is least over the reals."""
    generator = torch.Generator().manual_seed(0)
    points = box.interval(network.input_shape).sample(400, generator)
    whole = box.interval(network.input_shape)
    low, high = whole.lower.expand_as(points[:200]), whole.upper.expand_as(points[:200])
    points[:200] = torch.where(torch.rand(low.shape, generator=generator) < 0.5, low, high)
    values = network.graph.evaluate(points).flatten(1)[:, 0]
    return points[values.argmin()].numpy()


def asked(network: Network, box: InputBox, threshold: float, boxes: int = 1) -> Problem:
    """Unsafe: output 0 at most `threshold`, on several copies of the box."""
    case = Case(box, ((row({0: 1}, -Fraction(threshold)),),))
    outputs = int(np.prod(network.output_shape))
    return Problem(network, Spec(box.lower.size, outputs, (case,) * boxes, "drawn"), "float32")


@pytest.mark.parametrize("kind", (*KINDS, *SMOOTH))
def test_what_an_execution_violates_is_not_proved(kind):
    for seed, radius, boxes in ((1, 0.01, 1), (2, 0.3, 4)):
        network, box, rng = drawn(kind, seed, radius)
        x = np.clip(low_corner(network, box).reshape(-1).astype(np.float32), box.lower, box.upper).astype(np.float32)
        runs = [execute(network.declared, x, rng)[network.declared.output].reshape(-1)[0] for _ in range(8)]
        problem = asked(network, box, min(runs), boxes)
        for engine in ENGINES:
            result = solve(problem, engine, Budget.seconds(0.15), "cpu")
            assert result.as_vnncomp != "unsat", (seed, engine)
            assert result.semantics == "float32"


@pytest.mark.parametrize("engine", ENGINES)
def test_what_has_a_margin_is_proved(engine):
    proved = 0
    for seed, kind in enumerate(KINDS):
        network, box, _ = drawn(kind, seed, 0.05)
        low = float(network.graph.evaluate(torch.from_numpy(low_corner(network, box)).unsqueeze(0)).flatten()[0])
        margin = 0.5 if engine in ("ibp", "crown", "alpha-crown") else 1e-3
        result = solve(asked(network, box, low - margin), engine, Budget.seconds(2.0), "cpu")
        proved += result.as_vnncomp == "unsat"
    assert proved >= len(KINDS) - 3


@pytest.mark.parametrize("kind", [kind for kind in CURVED if kind not in (*SMOOTH, "smooth", "norms")])
def test_what_is_not_declared_is_refused_by_node(kind):
    network = from_bytes(curved_model(kind, np.random.default_rng(1), 3))
    box = InputBox.from_floats(-np.ones(3), np.ones(3))
    names = "|".join(node.name for node in network.graph.nonlinear)
    with pytest.raises(UnsupportedOperator, match=f"float32 accuracy of '({names})"):
        asked(network, box, 0.0)
