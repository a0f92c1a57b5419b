"""The command line that the VNN-LIB 2.0 standard defines (chapter 5): `verify verify` and `verify supports`.

What is supported is what a query is really answered for, soundly with respect to the declared types: `real`, and
`float32` for operators whose accuracy in float32 is declared (`verify.bounds.noise`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from verify import STARTED
from verify.errors import InvalidInput
from verify.options import CHOICES, require_file
from verify.supervise import Outcome

NAME = "verify"

FLOAT32 = frozenset({
    "Abs", "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Conv", "ConvTranspose", "DepthToSpace",
    "Dropout", "Expand", "Flatten", "Gather", "GatherElements", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "HardSigmoid", "Identity", "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "Mul", "Neg", "PRelu", "Pad",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Size",
    "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Unsqueeze", "Upsample",
})
"""Operators whose every form that is imported has a declared accuracy in float32. Others (a division by a variable,
exponentials) are refused by name under float32 semantics."""

INTERNAL = 70
"""Exit code of what must not happen; `verify.report`."""

FIXED = MappingProxyType({
    "onnx-element-types": ("float32", "real"),
    "vnnlib-versions": ("1.0", "2.0"),
    "hidden-node-theories": ("NH", "H"),
    "multiple-input-output-theories": ("SIO", "MIO"),
    "multiple-network-theories": ("SNET", "MENET", "MINET", "MNET"),
    "multiple-node-comparison-theories": ("SNC", "MNC"),
    "arithmetic-complexity-theories": ("BND", "OUTC", "LIN", "POLY"),
    # `or` is multiplied out; disjuncts on one box share their bounds, but the form is the normal form.
    "optimised-disjunctive-reasoning": ("false",),
    "serialise-assignments": ("true",),
})
CAPABILITIES = ("onnx-opset-versions", "onnx-operators", *FIXED)


def supports(capabilities: Sequence[str]) -> Outcome:
    """What is printed for each of the capabilities, one item a line."""
    if not capabilities:
        raise InvalidInput(f"supports takes one of {', '.join('--' + name for name in CAPABILITIES)}")
    return Outcome(0, "\n".join(line for name in capabilities for line in _capability(name)))


def _capability(name: str) -> Sequence[str]:
    if name in FIXED:
        return FIXED[name]
    from verify.onnx_import.ops import supported
    from verify.onnx_import.translate import OPSETS

    if name == "onnx-opset-versions":
        return str(OPSETS[0]), str(OPSETS[-1])
    # Without a list of types, all supported ones are meant.
    return [operator if operator in FLOAT32 else f"{operator} real" for operator in supported()]


@dataclass(frozen=True)
class Question:
    """What `verify verify` is asked. Raises `InvalidInput` naming the option and what it accepts."""

    query: Path
    networks: Mapping[str, Path]
    timeout: float | None = None
    folder: Path | None = None
    semantics: str = "auto"

    def __post_init__(self) -> None:
        require_file("query", self.query)
        for name, path in self.networks.items():
            require_file(f"network {name}", path)
        if not self.networks:
            raise InvalidInput("verify needs a model for every declared network: --network NAME=FILE")
        if self.timeout is not None and not (math.isfinite(self.timeout) and self.timeout > 0):
            raise InvalidInput(f"--timeout takes a positive number of seconds, got {self.timeout}")
        if self.semantics not in CHOICES:
            raise InvalidInput(f"--semantics takes {', '.join(CHOICES)}, got {self.semantics!r}")
        if self.folder is not None and self.folder.exists() and not self.folder.is_dir():
            raise InvalidInput(f"--serialise-assignments takes a folder, {self.folder} is a file")

    @property
    def deadline(self) -> float:
        return STARTED + (math.inf if self.timeout is None else self.timeout)


def parse_networks(assignments: Sequence[str]) -> dict[str, Path]:
    """NAME=FILE pairs."""
    found: dict[str, Path] = {}
    for text in assignments:
        name, equals, path = text.partition("=")
        if not (name and equals and path):
            raise InvalidInput(f"--network takes NAME=FILE, got {text!r}")
        if name in found:
            raise InvalidInput(f"--network {name} is given twice")
        found[name] = Path(path)
    return found


def answer(question: Question) -> Outcome:
    """The work of `verify verify`, inside the supervised process: the verdict, and behind `sat` the assignments."""
    from verify import report, runtime
    from verify.budget import Budget
    from verify.certificate.assignment import counterexample_text, write_assignments
    from verify.pipeline import load_problem, solve

    runtime.configure(None)
    problem = load_problem(question.networks, question.query, question.semantics)
    result = solve(problem, budget=Budget(deadline=question.deadline, start=STARTED))
    text = ""
    if result.witness is not None:
        if question.folder is None:
            text = counterexample_text(problem.spec, problem.network, result.witness)
        else:
            write_assignments(question.folder, problem.spec, problem.network, result.witness)
    line = "\n".join(part for part in (result.as_vnncomp, text.rstrip("\n")) if part)
    return Outcome(report.exit_code(result), line, report.summary(result))


def settled(outcome: Outcome) -> Outcome:
    """Any of the four answers is a success of the command; what went wrong keeps its exit code."""
    return replace(outcome, exit_code=0) if outcome.line and outcome.exit_code != INTERNAL else outcome


