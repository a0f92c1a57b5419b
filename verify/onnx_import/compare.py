"""Is the imported graph the network? Both are evaluated and compared; onnxruntime is the independent judge.

The graph computes in float64, onnxruntime in the network's own float32. How far rounding alone can drive them apart
depends on the network, so it is measured: the same graph is also evaluated in float32, and its distance to float64 is
what rounding does here. Accepted is

    |y_runtime - y_64| <= 1e-4 scale + 100 max |y_32 - y_64| + 1e-6,    scale = largest |y_64| over all points

which a wrong operator, a dropped bias or a moved axis misses by orders of magnitude, since they leave y_32 - y_64 as
small as it was. Where the graph has steps (rounding, comparisons), an execution may fall on the other side of a jump
next to which its argument lies: what shifting all these arguments by a few roundings changes at a point, three times
over, is accepted at that point. NaN of ours is a mismatch; a network that overflows by itself is refused as bad input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from verify.errors import BrokenInvariant, ImportMismatch, InvalidInput, ShapeMismatch
from verify.graph import Graph
from verify.onnx_import.model import Network
from verify.onnx_import.part import Part, feeds, joined, single_entries
from verify.ops.base import Op, Shape
from verify.ops.step import Step
from verify.sets import Interval

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

RELATIVE, ROUNDING, ABSOLUTE, JUMPS, SHIFT = 1e-4, 100.0, 1e-6, 3.0, 2.0**-18


def onnxruntime_outputs(network: Network, points: Tensor) -> Tensor:
    """onnxruntime on points (n, *input shape), one by one: float64 tensor (n, *output shape). Default optimisations."""
    sessions = [_session(network, part) for part in network.parts]
    found = [joined(_run(network, sessions, x)) for x in points.cpu().numpy()]
    return torch.from_numpy(np.stack(found))


def _session(network: Network, part: Part) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    # Layers between quantised values as the file says: fused to integer kernels they round otherwise, or saturate.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    with _refused(network):
        return onnxruntime.InferenceSession(part.onnx, options, providers=["CPUExecutionProvider"])


def _run(network: Network, sessions: Sequence[InferenceSession], x: np.ndarray) -> list[np.ndarray]:
    """All outputs of all parts at the joint input x."""
    found = []
    for session, part, fed in zip(sessions, network.parts, feeds(network.parts, x, network.wiring), strict=True):
        with _refused(network):
            found += session.run([port.name for port in part.outputs], fed)
    return found


@contextmanager
def _refused(network: Network) -> Iterator[None]:
    """What onnxruntime cannot run is bad input."""
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    known = (failures.Fail, failures.InvalidArgument, failures.InvalidGraph, failures.InvalidProtobuf,
             failures.NotImplemented, failures.RuntimeException)
    try:
        yield
    except known as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidInput(f"{network.source}: onnxruntime cannot run the network: {reason}") from error


def _representable(network: Network, points: Tensor) -> Tensor:
    """The points with every entry rounded to the type of the input it belongs to, in float64."""
    flat = points.to(torch.float64).reshape(len(points), -1).clone()
    single = torch.from_numpy(single_entries(network.parts, network.wiring))
    flat[:, single] = flat[:, single].float().double()
    return flat.reshape(points.shape)


def compare_with_onnxruntime(network: Network, points: Tensor) -> float:
    """Largest |difference| / scale over points (n, *input shape).

    Raises `ImportMismatch` beyond rounding and `ShapeMismatch` when the points do not fit the network.
    """
    if points.dim() < 1 or tuple(points.shape[1:]) != network.input_shape or not len(points):
        raise ShapeMismatch(f"points of shape {list(points.shape)} do not fit input shape {list(network.input_shape)}")
    # What onnxruntime sees is the point rounded to the network's type; the graph must see the same.
    points = _representable(network, points)
    theirs = onnxruntime_outputs(network, points)
    if not bool(torch.isfinite(theirs).all()):
        raise InvalidInput(
            f"{network.source}: onnxruntime returns infinities or NaN on points of the input set: the network or the "
            f"input set exceeds its own number type; finite outputs are needed"
        )
    ours = network.graph.evaluate(points.to(network.graph.dtype)).to(torch.float64)
    if theirs.shape != ours.shape:
        raise ImportMismatch(
            f"{network.source}: onnxruntime returns shape {list(theirs.shape[1:])}, the import {list(ours.shape[1:])}"
        )
    rounded = network.graph.to(dtype=torch.float32).evaluate(points.float()).to(torch.float64)
    scale = float(ours.abs().max())
    # Where a network in double precision overflows in float32, that run explains nothing.
    lost = (rounded - ours).abs().nan_to_num(nan=0.0, posinf=0.0)
    jumps = _jumps(network.graph, points, ours)
    tolerance = RELATIVE * scale + ROUNDING * float(_worst(lost)[jumps == 0].max(initial=0.0)) + ABSOLUTE
    excess = _worst(theirs - ours) - JUMPS * jumps
    if not (excess <= tolerance).all():
        raise ImportMismatch(
            f"{network.source}: the imported network and onnxruntime differ by {_worst(theirs - ours).max():.3g} "
            f"(outputs up to {scale:.3g}, rounding explains {tolerance:.3g})"
        )
    return max(float(excess.max()), 0.0) / max(scale, ABSOLUTE)


def _worst(values: Tensor) -> np.ndarray:
    """Largest magnitude at every point; NaN where there is one."""
    return values.abs().reshape(len(values), -1).amax(1).numpy()


@dataclass(frozen=True, eq=False)
class _Shifted(Op):
    """A step at arguments moved by a part of the largest one."""

    step: Step
    part: float

    def output_shape(self, *shapes: Shape) -> Shape:
        return shapes[0]

    def evaluate(self, *xs: Tensor) -> Tensor:
        return self.step.evaluate(xs[0] + self.part * xs[0].abs().max())

    def interval(self, *inputs: Interval) -> Interval:
        raise BrokenInvariant("shifted steps are evaluated only")


def _jumps(graph: Graph, points: Tensor, values: Tensor) -> np.ndarray:
    """How far jumps next to which arguments lie may drive an execution apart, at every point."""
    found = np.zeros(len(points))
    if not any(isinstance(node.op, Step) for node in graph.nodes):
        return found
    for part in (SHIFT, -SHIFT):
        nodes = (replace(node, op=_Shifted(node.op, part)) if isinstance(node.op, Step) else node
                 for node in graph.nodes)
        shifted = replace(graph, nodes=tuple(nodes)).evaluate(points.to(graph.dtype)).to(torch.float64)
        # Beyond a jump an argument may leave the domain of what follows; an execution may then be anywhere.
        found = np.maximum(found, np.nan_to_num(_worst(shifted - values), nan=np.inf))
    return found
