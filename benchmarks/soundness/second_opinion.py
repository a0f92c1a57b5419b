"""A second opinion on fully connected ReLU networks, for labels that a verdict contradicts, without a line of `verify`.

The file is read with `onnx`, the property as one box and one conjunction `Y_i <= Y_j`, and the largest difference
Y_i - Y_j is minimised over the box as a big-M mixed-integer program by scipy (HiGHS). Bounds of neurons are intervals.
None where the network or the property is of another form.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import numpy_helper
from scipy.optimize import Bounds, LinearConstraint, milp

_LIMIT = re.compile(r"\((<=|>=)\s+X_(\d+)\s+([-+\d.eE]+)\)")
_ORDER = re.compile(r"\((<=|>=)\s+Y_(\d+)\s+Y_(\d+)\)")


def least_violation(network: bytes, spec: str, seconds: float = 60.0) -> float | None:
    """A lower bound of min over the box of max over the rows of Y_i - Y_j, the rows of the unsafe set Y_i <= Y_j: above
    0 no point is unsafe. None: not answered."""
    layers, question = _layers(network), _question(spec)
    if layers is None or question is None or layers[0][0].shape[0] != len(question[0]):
        return None
    low, high, pairs = question
    return _solve(layers, low, high, pairs, seconds)


def _layers(network: bytes) -> list[tuple[np.ndarray, np.ndarray]] | None:
    """(weight (i, o), bias (o,)) of every layer; ReLUs between them."""
    graph = onnx.load_model_from_string(network).graph
    values = {entry.name: numpy_helper.to_array(entry).astype(np.float64) for entry in graph.initializer}
    layers, expected = [], graph.input[0].name
    for node in graph.node:
        constants = [values[name] for name in node.input if name in values]
        if expected not in node.input or node.op_type not in ("MatMul", "Add", "Relu", "Flatten"):
            return None
        if node.op_type == "MatMul":
            layers.append((constants[0], np.zeros(constants[0].shape[1])))
        elif node.op_type == "Add":
            layers[-1] = (layers[-1][0], layers[-1][1] + constants[0].reshape(-1))
        expected = node.output[0]
    relus = sum(node.op_type == "Relu" for node in graph.node)
    return layers if len(layers) == relus + 1 else None


def _question(spec: str) -> tuple[np.ndarray, np.ndarray, list[tuple[int, int]]] | None:
    text = re.sub(r";.*", "", spec)
    if re.search(r"\(\s*or\b", text):
        return None
    limits = [(op, int(k), float(value)) for op, k, value in _LIMIT.findall(text)]
    low, high = ({k: value for op, k, value in limits if op == wanted} for wanted in (">=", "<="))
    pairs = [(int(i), int(j)) if op == "<=" else (int(j), int(i)) for op, i, j in _ORDER.findall(text)]
    if not pairs or low.keys() != high.keys() or len(limits) + len(pairs) != len(re.findall(r"[<>]=", text)):
        return None
    order = range(len(low))
    return np.array([low[k] for k in order]), np.array([high[k] for k in order]), pairs


def _solve(layers: list[tuple[np.ndarray, np.ndarray]], low: np.ndarray, high: np.ndarray,
           pairs: list[tuple[int, int]], seconds: float) -> float | None:
    """Variables: x, then per hidden neuron its output and its phase, then the largest difference."""
    hidden = sum(len(bias) for _, bias in layers[:-1])
    size = len(low) + 2 * hidden + 1
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    lower[: len(low)], upper[: len(low)] = low, high
    rows, most, integer = [], [], np.zeros(size)

    def at_most(entries: list[tuple[np.ndarray | int, np.ndarray | float]], limit: float) -> None:
        row = np.zeros(size)
        for where, value in entries:
            row[where] += value
        rows.append(row)
        most.append(limit)

    before, start = np.arange(len(low)), len(low)
    for weight, bias in layers[:-1]:
        center, radius = (lower[before] + upper[before]) / 2, (upper[before] - lower[before]) / 2
        middle, wide = center @ weight + bias, radius @ np.abs(weight) + 1e-6
        for k in range(len(bias)):
            y, phase, l, u = start + 2 * k, start + 2 * k + 1, min(middle[k] - wide[k], 0), max(middle[k] + wide[k], 0)
            lower[y], upper[y], lower[phase], upper[phase], integer[phase] = 0, u, 0, 1, 1
            at_most([(before, weight[:, k]), (y, -1.0)], -bias[k])
            at_most([(y, 1.0), (before, -weight[:, k]), (phase, -l)], bias[k] - l)
            at_most([(y, 1.0), (phase, -u)], 0.0)
        before, start = start + 2 * np.arange(len(bias)), start + 2 * len(bias)
    weight, bias = layers[-1]
    for i, j in pairs:
        at_most([(before, weight[:, i] - weight[:, j]), (size - 1, -1.0)], bias[j] - bias[i])
    objective = np.zeros(size)
    objective[-1] = 1.0
    found = milp(objective, constraints=LinearConstraint(np.array(rows), -np.inf, most), bounds=Bounds(lower, upper),
                 integrality=integer, options={"time_limit": seconds})
    return None if found.mip_dual_bound is None else float(found.mip_dual_bound)
