"""ONNX's own test vectors, as the installed `onnx` builds them: every operator's cases against `Graph.evaluate`.

All float inputs vary; where that is refused, one of them does and the rest are constants. Integers and truth values
come from float inputs through a Cast. Opsets above ours are lowered: the definitions of these operators did not change.
"""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Iterator

import numpy as np
import onnx
import onnx.backend.test.case.base as base
import onnx.backend.test.case.node as cases
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import Network, from_bytes
from verify.onnx_import.ops import REFUSED
from verify.onnx_import.walk import OPSETS

# Building the cases of these takes twelve seconds; test_ops.py compares them with onnxruntime.
SLOW = ("averagepool", "lppool", "maxpool")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
WHOLE = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL)

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
    "test_if_opt": "optional values", "test_hammingwindow": "a number of entries from data",
    "test_hannwindow": "a number of entries from data", "test_blackmanwindow": "a number of entries from data",
    "test_reshape_allowzero": "empty tensors", "test_slice_start_out_of_bounds": "empty tensors",
    "test_split_zero_size": "empty tensors", "test_l2normalization_axis_0": "0 / 0",
    "test_resize_downsample_scales_linear_align_corners": "runtimes align with the corner of the whole output size",
    "test_resize_downsample_scales_cubic_align_corners": "runtimes align with the corner of the whole output size",
    "test_spacetodepth_dcr": "an attribute of a later opset", "test_spacetodepth_crd": "an attribute of a later opset",
    "test_attention_local_window": "an attribute of a later opset",
    "test_attention_3d_local_window": "an attribute of a later opset",
    "test_attention_bidirectional_window": "an attribute of a later opset",
}


def lowered(case: cases.TestCase) -> ModelProto:
    model = ModelProto()
    model.CopyFrom(case.model)
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx"):
            entry.version = min(max(entry.version, OPSETS[0]), OPSETS[-1])
    return model


def array_of(value: object) -> np.ndarray:
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)


def numbers(value: object) -> np.ndarray:
    return array_of(value).astype(np.float64)


def with_inputs(case: cases.TestCase, varying: set[str]) -> tuple[Network, np.ndarray]:
    """The network in which only `varying` inputs vary, and the joint input of the case."""
    model = lowered(case)
    given = dict(zip((value.name for value in case.model.graph.input), case.data_sets[0][0], strict=True))
    graph, casts, kept = model.graph, [], []
    for value in case.model.graph.input:
        element = value.type.tensor_type.elem_type
        if value.name not in varying:
            tensor = given[value.name]
            if not isinstance(tensor, TensorProto):
                tensor = numpy_helper.from_array(np.asarray(tensor))
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = value.name
        elif element in FLOATS:
            kept.append(value)
        else:
            shape = array_of(given[value.name]).shape
            kept.append(helper.make_tensor_value_info(f"{value.name}:float", TensorProto.DOUBLE, shape))
            casts.append(helper.make_node("Cast", [f"{value.name}:float"], [value.name], to=element))
    for name, content in (("input", kept), ("node", [*casts, *graph.node])):
        graph.ClearField(name)
        getattr(graph, name).extend(content)
    network = from_bytes(model.SerializeToString())
    point = [numbers(given[port.name.removesuffix(":float")]) for port in network.inputs]
    return network, np.concatenate([part.reshape(-1) for part in point])


def choices(case: cases.TestCase) -> Iterator[set[str]]:
    """Sets of inputs that may vary: all floats, or whole numbers where there are none; then each one alone."""
    given = zip(case.model.graph.input, case.data_sets[0][0], strict=True)
    types = {value.name: value.type.tensor_type.elem_type for value, content in given if array_of(content).size}
    names = [name for name, kind in types.items() if kind in FLOATS]
    names = names or [name for name, kind in types.items() if kind in WHOLE]
    yield from ([set(names)] if len(names) > 1 else [])
    yield from ({name} for name in names)


def wrong(case: cases.TestCase, network: Network, point: np.ndarray) -> str | None:
    """What differs from the expected outputs."""
    x = torch.from_numpy(point).reshape(1, *network.input_shape)
    found, start = network.graph.evaluate(x).reshape(-1).numpy(), 0
    expected = dict(zip((value.name for value in case.model.graph.output), case.data_sets[0][1], strict=True))
    for port in network.outputs:
        ours, theirs = found[start : start + port.size].reshape(port.shape), numbers(expected[port.name])
        start += port.size
        if ours.shape != theirs.shape:
            return f"shape {ours.shape} for {theirs.shape}"
        # The cases were computed in float32, where sums lose digits.
        noise = case.atol + 2e-6 * np.abs(theirs).max(initial=0.0)
        if not np.allclose(ours, theirs, rtol=case.rtol, atol=noise, equal_nan=False):
            return f"values differ by {np.abs(ours - theirs).max():.3g}"
    return None


def outcome(case: cases.TestCase) -> tuple[str, str]:
    """("passed" | "refused" | "wrong" | "skipped", why)"""
    reason = "no input that could vary"
    if not all(value.type.HasField("tensor_type") for value in case.model.graph.input):
        return "skipped", "an input that is no tensor"
    for varying in choices(case):
        try:
            network, point = with_inputs(case, varying)
        except (UnsupportedOperator, InvalidInput) as error:
            reason = str(error)
            continue
        if not np.isfinite(point).all() or not all(np.isfinite(numbers(y)).all() for y in case.data_sets[0][1]):
            return "skipped", "values that are no real numbers"
        difference = wrong(case, network, point)
        return ("passed", "") if difference is None else ("wrong", difference)
    return ("refused" if reason.startswith("bytes") else "skipped"), reason


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[str, str, str]]:
    """Case name -> operator, outcome, reason."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Neither the expanded forms of functions nor the sources for the documentation are wanted; both take long.
        patch.setattr(cases, "function_testcase_helper", lambda *_, **__: ([], 0))
        patch.setattr(base, "process_snippet", lambda _, name, export: (name, ""))
        patch.setattr(cases, "_NodeTestCases", [])
        patch.setattr(cases, "_existing_names", {})
        for module in pkgutil.iter_modules(cases.__path__):
            if not module.ispkg and module.name not in SLOW:
                importlib.import_module(f"{cases.__name__}.{module.name}")
        found = {}
        for case in cases._NodeTestCases:
            node = case.model.graph.node[0]
            if node.domain in ("", "ai.onnx"):
                found[case.name] = (node.op_type, *outcome(case))
    return found


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
    assert kinds.count("passed") > 3 * kinds.count("refused")
