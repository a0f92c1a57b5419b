"""ONNX's own test cases: every operator against `Graph.evaluate`, within the tolerances of the cases."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import Network, vectors
from verify.onnx_import.ops import REFUSED
from verify.onnx_import.walk import OPSETS

# Reasons for which cases may be refused whatever the operator: what varies there is no network data.
REASONS = (
    "depends on the network input; a constant", "cannot be cast to", "that depends on the network input; float would",
    "has no fixed size", "that holds no finite numbers", "holds NaN or infinite values",
)
# Cases that are refused, or differ, for a reason of their own; prefixes of names.
CASES = {
    "test_batchnorm_example_training_mode": "training mode", "test_batchnorm_epsilon_training_mode": "training mode",
    "test_training_dropout": "training mode",
    "test_dft_irfft": "the inverse of a one-sided transform",
    "test_scan_sum": "Scan of opset 8",
    "test_if_opt": "optional values",
    "test_reshape_allowzero": "empty tensors", "test_slice_start_out_of_bounds": "empty tensors",
    "test_split_zero_size": "empty tensors", "test_l2normalization_axis_0": "0 / 0",
    "test_resize_downsample_scales_linear_align_corners": "runtimes align with the corner of the whole output size",
    "test_resize_downsample_scales_cubic_align_corners": "runtimes align with the corner of the whole output size",
    "test_spacetodepth_dcr": "an attribute of a later opset", "test_spacetodepth_crd": "an attribute of a later opset",
    "test_attention_local_window": "an attribute of a later opset",
    "test_attention_3d_local_window": "an attribute of a later opset",
    "test_attention_bidirectional_window": "an attribute of a later opset",
}


def wrong(case, network: Network, point: np.ndarray) -> str | None:
    """What differs from the expected outputs."""
    x = torch.from_numpy(point).reshape(1, *network.input_shape)
    found, start = network.graph.evaluate(x).reshape(-1).numpy(), 0
    expected = dict(zip((value.name for value in case.model.graph.output), case.data_sets[0][1], strict=True))
    for port in network.outputs:
        ours, theirs = found[start : start + port.size].reshape(port.shape), vectors.numbers(expected[port.name])
        start += port.size
        if ours.shape != theirs.shape:
            return f"shape {ours.shape} for {theirs.shape}"
        # The cases were computed in float32, where sums lose digits.
        noise = case.atol + 2e-6 * np.abs(theirs).max(initial=0.0)
        if not np.allclose(ours, theirs, rtol=case.rtol, atol=noise):
            return f"values differ by {np.abs(ours - theirs).max():.3g}"
    return None


def outcome(case) -> tuple[str, str]:
    """("passed" | "refused" | "wrong" | "skipped", why)"""
    if not vectors.of_tensors(case):
        return "skipped", "an input that is no tensor of numbers"
    kind, reason = "skipped", "no input that could vary"
    for varying in vectors.choices(case):
        try:
            network, point = vectors.imported(case, varying)
        except (UnsupportedOperator, InvalidInput) as error:
            kind, reason = "refused", str(error)
            continue
        if not all(np.isfinite(values).all() for values in (point, *map(vectors.numbers, case.data_sets[0][1]))):
            return "skipped", "values that are no real numbers"
        difference = wrong(case, network, point)
        return ("passed", "") if difference is None else ("wrong", difference)
    return kind, reason


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, str, str]]:
    """Case name -> operator, outcome, reason."""
    return {case.name: (vectors.operator(case), *outcome(case)) for case in vectors.cases()}


def expected(name: str, op_type: str, reason: str) -> bool:
    """Whether a case may be refused."""
    listed = op_type in REFUSED or name.startswith(tuple(CASES)) or later(op_type)
    return listed or any(part in reason for part in REASONS)


def later(op_type: str) -> bool:
    """Whether the operator is newer than our opsets."""
    try:
        return onnx.defs.get_schema(op_type, OPSETS[-1], "") is None
    except onnx.defs.SchemaError:
        return True


def test_what_is_translated_is_right(outcomes):
    bad = {name: why for name, (_, kind, why) in outcomes.items()
           if kind == "wrong" and not name.startswith(tuple(CASES))}
    assert not bad, "\n".join(f"{name}: {why}" for name, why in bad.items())


def test_nothing_is_refused_unexpectedly(outcomes):
    bad = {name: why for name, (op_type, kind, why) in outcomes.items()
           if kind == "refused" and not expected(name, op_type, why)}
    assert not bad, "\n".join(f"{name}: {why}" for name, why in bad.items())


def test_most_cases_can_be_run(outcomes):
    kinds = [kind for _, kind, _ in outcomes.values()]
    assert kinds.count("passed") > 3 * kinds.count("refused") > 0
