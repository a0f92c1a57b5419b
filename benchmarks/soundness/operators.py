"""Operators inside their intervals: random ONNX operators on random boxes, in exact and in float32 arithmetic.

Real claim: values in float64 at random points, corners and the corners that gradients point to lie inside the
intervals computed in float64 and in float32. Float32: what onnxruntime computes lies within the running error bound of
`sampling.float32_error` around the exact value; and it, and what random orders of summation compute, lies inside the
intervals of the float32 semantics.
"""

from __future__ import annotations

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from benchmarks.soundness.experiment import Experiment
from benchmarks.soundness.operator_models import operator_model
from benchmarks.soundness.sampling import (
    SMOOTH,
    float32_error,
    float32_numbers,
    random_box,
    random_points,
    steepest_corners,
)
from benchmarks.soundness.tally import Recorder, Tally
from tests.soundness.executions import execute
from verify.bounds.ibp import ibp
from verify.errors import Float32Overflow
from verify.onnx_import import Network, from_bytes
from verify.sets import Interval

BOXES = 8
"""Cases per model: reading a model takes longer than bounding one box."""
POINTS, RUNS, EXECUTIONS = 48, 6, 2


def runtime(onnx: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])


def outside(interval: Interval, values: Tensor, slack: Tensor | float = 0.0) -> float:
    """How far values (k, *shape) leave the interval (1, *shape) by more than `slack`; NaN counts as infinitely far."""
    low, high = interval.lower.double(), interval.upper.double()
    gap = torch.maximum(low - values, values - high) - slack
    return float(gap.nan_to_num(nan=torch.inf).clamp(min=0).max()) if gap.numel() else 0.0


def one_box(network: Network, session: onnxruntime.InferenceSession, generator: torch.Generator, record: Recorder
            ) -> str:
    """One case; what is wrong with it, empty if nothing is."""
    graph = network.graph
    box = random_box(graph.input.shape, generator)
    points = random_points(box, POINTS, generator)
    points = torch.cat([points, steepest_corners(graph, box, points[:4], generator)])
    record.count("points", len(points))
    exact = graph.evaluate(points)
    wide = Interval(box.lower.double(), box.upper.double())
    for dtype, given in ((torch.float64, wide), (torch.float32, box)):
        found = ibp(graph.to(dtype=dtype), given)[graph.output]
        if (gap := outside(found, exact)) > 0:
            return f"a value lies {gap:.3g} outside the {dtype} interval"
    x = float32_numbers(points[:: len(points) // RUNS], box)
    theirs = [session.run(None, {"x": row.numpy().astype(np.float32)})[0] for row in x]
    theirs = torch.from_numpy(np.stack(theirs).astype(np.float64))
    # Values that overflow float32 have no claim.
    if not bool(torch.isfinite(theirs).all()):
        record.count("float32 overflows")
        return ""
    record.count("float32 runs", len(x))
    error = float32_error(graph, x)[graph.output].expand_as(theirs)
    gap = ((theirs - graph.evaluate(x)).abs() - error).clamp(min=0)
    if bool((gap > 0).any()):
        return f"onnxruntime is {float(gap.max()):.3g} further from the exact value than rounding allows"
    # `found` is the float32 interval: it charges the roundings of any float32 execution.
    if (gap := outside(found, theirs, SMOOTH)) > 0:
        return f"a float32 value lies {gap:.3g} outside the float32 interval"
    return _executions(network, wide, x, theirs, generator)


def _executions(network: Network, box: Interval, x: Tensor, theirs: Tensor, generator: torch.Generator) -> str:
    """The float32 semantics: onnxruntime's values `theirs` at x, and random executions, in its intervals."""
    declared = network.declared
    try:
        found = ibp(declared, box)[declared.output]
    except Float32Overflow:
        return ""  # no claim
    rng = np.random.default_rng(int(torch.randint(1 << 30, (1,), generator=generator)))
    drawn = np.stack([execute(declared, point.numpy(), rng)[declared.output] for point in x[:EXECUTIONS]])
    for what, values in (("onnxruntime", theirs), ("an execution", torch.from_numpy(drawn))):
        if (gap := outside(found, values)) > 0:
            return f"{what} lies {gap:.3g} outside the interval of the float32 semantics"
    return ""


def run(cases: range, seed: int) -> Tally:
    """Cases 8 m .. 8 m + 7 are eight boxes of model m."""
    record, model = Recorder(), None
    for k in cases:
        if k // BOXES != model:
            model = k // BOXES
            name, onnx = operator_model(model, seed)
            network, session = from_bytes(onnx), runtime(onnx)
        record.tried()
        if wrong := one_box(network, session, torch.Generator().manual_seed(1000003 * seed + k), record):
            record.wrong(k, f"{name}: {wrong}", network__onnx=onnx)
    return record.result()


EXPERIMENT = Experiment("enclosure: operators", "values lie inside the intervals of their operator", run,
                        lambda: 40_000, 800)
