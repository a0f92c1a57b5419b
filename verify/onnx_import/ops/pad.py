"""Pad: constant, reflect, edge and wrap; pads are an attribute before opset 11. Negative pads cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.errors import InvalidInput
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import pad_with
from verify.onnx_import.registry import importer

MODES = ("reflect", "edge", "wrap")


def _pad(call: Call, pads: Sequence[int], fill: float, axes: Sequence[int] = ()) -> Variable:
    x, mode = call.variable(0), call.text("mode", "constant")
    axes = [call.axis(a, x.rank) for a in axes] or list(range(x.rank))
    if len(pads) != 2 * len(axes):
        raise InvalidInput(f"{call}: {len(pads)} pads for {len(axes)} axes; twice as many are needed")
    begin, end = [0] * x.rank, [0] * x.rank
    for k, axis in enumerate(axes):
        begin[axis], end[axis] = pads[k], pads[k + len(axes)]
    if mode == "constant":
        if not np.isfinite(fill):
            raise call.refuse("pads with NaN or infinity; a finite value would be accepted")
        return pad_with(call, x, tuple(begin), tuple(end), fill)
    if mode not in MODES or min(*begin, *end) < 0:
        raise call.refuse(f"mode {mode!r} with pads {list(pads)}; constant, and {MODES} without cuts, are supported")
    return call.rearrange(x, lambda index: np.pad(index, list(zip(begin, end, strict=True)), mode=mode))


@importer("Pad", since=2, accepts="any")
def pad_attributes(call: Call) -> Variable:
    return _pad(call, list(call.attribute("pads")), float(call.attribute("value", 0.0)))


@importer("Pad", since=11, accepts="any")
def pad_inputs(call: Call) -> Variable:
    fill = float(call.known(2, "fill value").reshape(())) if call.has(2) else 0.0
    return _pad(call, call.integers(1, "pads"), fill, call.integers(3, "axes"))
