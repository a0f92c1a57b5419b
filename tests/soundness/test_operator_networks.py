"""Networks of random operators: imported as what they are, and enclosed by every bound.

A few here; the laboratory (`benchmarks.soundness`, operator_networks and operator_uses) tries thousands.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from tests.soundness.enclosure import DTYPES, RADII, Subject, boxes, import_differs, wrong
from tests.soundness.operator_networks import DEPTH, Drawn, network, single
from tests.soundness.operator_table import USES
from verify.onnx_import import from_bytes, simplify
from verify.onnx_import.registry import supported
from verify.ops import Curve
from verify.sets import Interval

NETWORKS = 16


def subject(drawn: Drawn, seed: int, radii: tuple[float, ...] = RADII) -> Subject:
    """Every other graph as it is imported, the others simplified."""
    graph = from_bytes(drawn.onnx).graph
    graph = graph if seed % 2 else simplify(graph)
    return Subject(graph, boxes(drawn, radii, torch.Generator().manual_seed(seed)), seed)


def test_every_use_can_be_drawn():
    """And all operators are used, but for those that are like another one, or on constants and integers only."""
    used = set()
    for name in USES:
        drawn = single(name, (0, 3))
        assert np.isfinite(drawn.outputs).all() and drawn.operators == (name,)
        used |= {node.op_type for node in onnx.load_from_string(drawn.onnx).graph.node}
    alike = {"AffineGrid", "CastLike", "CenterCropPad", "Col2Im", "Compress", "ConvInteger", "DFT", "Dropout", "Equal",
             "EyeLike", "Flatten", "GatherND", "GlobalLpPool", "GridSample", "Identity", "If", "IsInf", "IsNaN",
             "Loop", "MatMulInteger", "Not", "OneHot", "QLinearConv", "QLinearMatMul", "ReverseSequence", "Scan",
             "Scatter", "Shape", "Size", "SpaceToDepth", "Squeeze", "Unsqueeze", "Upsample", "And", "Or", "Xor"}
    assert set(supported()) - used - alike == set()


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_enclosed(seed):
    drawn = network((seed, 11))
    assert not import_differs(drawn, from_bytes(drawn.onnx))
    assert wrong(subject(drawn, seed), ("intervals", "CROWN"), DTYPES[seed % 2:][:1]) == []


@pytest.mark.parametrize("seed", range(0, NETWORKS, 4))
def test_enclosed_by_optimised_lines(seed):
    assert wrong(subject(network((seed, 12), most=5), seed, (0.1, 1.0)), ("alpha-CROWN",), DTYPES[seed // 4 % 2:][:1]
                 ) == []


def test_draws_are_deep_varied_and_reproducible():
    drawn = [network((seed, 11)) for seed in range(30)]
    assert len({name for d in drawn for name in d.operators}) > 60
    assert max(len(d.operators) for d in drawn) > DEPTH
    assert {d.double for d in drawn} == {True, False}
    assert network((3, 11)).onnx == drawn[3].onnx


def narrow(owner: type, part: float):
    honest = owner.interval

    def interval(self, *inputs: Interval) -> Interval:
        found = honest(self, *inputs)
        cut = part * found.width.nan_to_num(posinf=0.0)
        return Interval(found.lower + cut, found.upper - cut)

    return interval


def test_intervals_that_are_too_narrow_are_found(monkeypatch):
    drawn = [network((seed, 11)) for seed in range(6)]
    subjects = [subject(d, k) for k, d in enumerate(drawn)]
    for s in subjects:
        assert s.truth
    monkeypatch.setattr(Curve, "interval", narrow(Curve, 1e-3))
    assert sum(bool(wrong(s, ("intervals",))) for s in subjects) >= 3
