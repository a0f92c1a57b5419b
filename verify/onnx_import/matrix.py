"""What is supported, operator by operator, found by importing ONNX's own test cases: `docs/operators.md`.

    python -m verify.onnx_import.matrix        writes the file anew

The nonlinear primitives of an operator are those that its cases are made of; everything else follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from onnx import ModelProto, TensorProto, defs, helper, numpy_helper

from verify.certificate.checker.operators import OPERATORS
from verify.errors import BrokenInvariant, VerifyError
from verify.onnx_import import ops, vectors
from verify.onnx_import.function import has_body
from verify.onnx_import.model import from_bytes
from verify.onnx_import.registry import entries
from verify.onnx_import.walk import OPSETS
from verify.ops import Op, Product, Relu, SShaped
from verify.ops.curve import Curve

PATH = Path(__file__).resolve().parents[2] / "docs" / "operators.md"
REMARKS: Mapping[str, str] = MappingProxyType({
    "ArgMax": "comparisons of all pairs; both tie rules", "ArgMin": "as ArgMax",
    "BatchNormalization": "inference", "Cast": "between floats affine; float to integer by Floor, to bool by Positive",
    "CastLike": "as Cast", "Clip": "constant limits are cheapest", "Constant": "sparse and string forms are refused",
    "Conv": "one to three dimensions, constant weights", "ConvTranspose": "one and two dimensions, constant weights",
    "DequantizeLinear": "per tensor, axis and block; constant scales", "Dropout": "inference",
    "Einsum": "any number of operands", "Equal": "of integers by Relu",
    "Gather": "indices may depend on the input (Relu, Product)",
    "GatherElements": "constant indices", "GatherND": "constant indices", "GridSample": "constant grid",
    "GRU": "unrolled; constant weights and lengths", "If": "constant condition: its branch; else both (Product)",
    "Loop": "unrolled; constant trip count and conditions", "LSTM": "as GRU", "RNN": "as GRU",
    "LpPool": "p = 1 and 2", "GlobalLpPool": "p = 1 and 2", "MaxPool": "without the positions",
    "OneHot": "indices may depend on the input (Relu)", "Pad": "all modes; constant pads",
    "QLinearConv": "constant scales and weights", "QLinearMatMul": "constant scales",
    "QuantizeLinear": "to integers of 4, 8 and 16 bits; constant scales",
    "Resize": "all modes; constant sizes and regions",
    "Scan": "unrolled, from opset 9 on", "ScatterElements": "constant indices, all reductions",
    "ScatterND": "constant indices, all reductions", "Scatter": "as ScatterElements", "TopK": "sorted",
    "Upsample": "as Resize", "Where": "Product where the condition depends on the input",
    "IsInf": "a real number is not", "IsNaN": "a real number is not",
    "Shape": "a constant", "Size": "a constant", "EyeLike": "a constant",
})

@dataclass(frozen=True)
class Sample:
    """One operator on an image x (1, 1, 4, 4), or on x quantised; `known` constants follow it."""

    name: str
    opset: int
    attributes: tuple[tuple[str, object], ...] = ()
    known: tuple[np.ndarray, ...] = ()
    quantised: bool = False


TWO_BY_TWO = (("kernel_shape", (2, 2)),)
SCALE, ZERO, BYTES = np.float32(0.5), np.uint8(3), np.ones((1, 1, 4, 4), dtype=np.uint8)
SAMPLES = (
    Sample("AveragePool", 19, TWO_BY_TWO), Sample("MaxPool", 12, TWO_BY_TWO), Sample("LpPool", 18, TWO_BY_TWO),
    Sample("GlobalLpPool", 18), Sample("Upsample", 9, known=(np.float32([1, 1, 2, 2]),)),
    Sample("Cast", 13, (("to", TensorProto.INT64),)),
    Sample("Cast", 13, (("to", TensorProto.BOOL),)),
    Sample("DequantizeLinear", 13, known=(SCALE, ZERO), quantised=True),
    Sample("ConvInteger", 13, known=(BYTES,), quantised=True),
    Sample("MatMulInteger", 13, known=(BYTES,), quantised=True),
    Sample("QLinearConv", 13, known=(SCALE, ZERO, BYTES, SCALE, ZERO, SCALE, ZERO), quantised=True),
    Sample("QLinearMatMul", 13, known=(SCALE, ZERO, BYTES, SCALE, ZERO, SCALE, ZERO), quantised=True),
)
"""Operators whose cases are slow to build, or gone, or have no input that could vary."""

HEADER = f"""# Operators

Written by `python -m verify.onnx_import.matrix` from the importers and the table of the proof checker; a test compares.
Opsets {OPSETS[0]} to {OPSETS[-1]} are read. Networks may have several inputs and outputs; inputs are
float32 or float64. What does not depend on the inputs is folded, with every operator that ONNX has.

- **import**: the opset from which an importer of ours serves the operator, or *definition*: it is replaced by the
  operators that ONNX defines it by; `number` also on int32 and int64 that depend on the input (no overflow assumed),
  `any` on all types.
- **nonlinear**: the primitives that it is made of beside affine ones, `-` for none: Relu, Product (of two values),
  curves of one value.
- **interval**, **line**: interval bounds and linear relaxations (CROWN, alpha-CROWN, dual ascent) exist; they do for
  every primitive.
- **split**: what branch and bound can cut beside the input box: nothing to do for an affine operator, the phase of a
  Relu, the range of a value of everything else.
- **proof**: the independent checker of certificates knows the operator.
- **float32**: the accuracy of float32 executions is declared, so that `--semantics float32` accepts it.
"""


@dataclass(frozen=True)
class Row:
    """One operator; `reason` where it is refused, `primitives` otherwise."""

    name: str
    since: str
    primitives: tuple[type[Op], ...] = ()
    reason: str = ""
    remark: str = ""

    @property
    def float32(self) -> bool:
        return all(issubclass(kind, (Relu, Product, SShaped)) for kind in self.primitives)

    @property
    def bounded(self) -> bool:
        return all(issubclass(kind, (Relu, Product, Curve)) for kind in self.primitives)

    @property
    def split(self) -> str:
        if not self.primitives:
            return "-"
        return "phase" if self.primitives == (Relu,) else "value"


def operators() -> tuple[str, ...]:
    """The standard operators of our opsets, those that were dropped on the way included."""
    found = {schema.name for schema in defs.get_all_schemas_with_history()
             if schema.domain == "" and schema.since_version <= OPSETS[-1]}
    return tuple(sorted(found))


def rows() -> tuple[Row, ...]:
    """All operators in alphabetical order."""
    primitives = _primitives()
    return tuple(_row(name, primitives.get(name)) for name in operators())


def _row(name: str, primitives: frozenset[type[Op]] | None) -> Row:
    own = entries(name)
    kinds = tuple(sorted(primitives or (), key=lambda kind: kind.__name__))
    if own and primitives is None:
        raise BrokenInvariant(f"{name} has an importer, but neither a case nor a sample that it imports")
    if name == "Constant" or own or (primitives is not None and has_body(name, OPSETS[-1])):
        return Row(name, _since(name), kinds, remark=REMARKS.get(name, ""))
    return Row(name, "", reason=ops.REFUSED.get(name, "constants are folded; nothing else is known"))


def _since(name: str) -> str:
    own = entries(name)
    if name == "Constant":
        return "all"
    if not own:
        return "definition"
    versions = ", ".join(str(max(entry.since, OPSETS[0])) for entry in own)
    accepts = {entry.accepts for entry in own} - {"float"}
    return versions + (f" ({', '.join(sorted(accepts))})" if accepts else "")


def _primitives() -> dict[str, frozenset[type[Op]]]:
    """Operator -> nonlinear primitives of all its cases that can be imported."""
    found: dict[str, frozenset[type[Op]]] = {}
    for name, kinds in (*_of_cases(), *_of_samples()):
        found[name] = found.get(name, frozenset()) | kinds
    return found


def _of_cases() -> Iterator[tuple[str, frozenset[type[Op]]]]:
    for case in filter(vectors.of_tensors, vectors.cases()):
        for varying in vectors.choices(case):
            try:
                graph = vectors.imported(case, varying)[0].graph
            except VerifyError:
                continue
            # What varies may have been cast to integers first, which is no part of the operator.
            kinds = (type(node.op) for node in graph.nonlinear if node.name.split("~")[0] not in varying)
            yield vectors.operator(case), frozenset(kinds)
            break


def _of_samples() -> Iterator[tuple[str, frozenset[type[Op]]]]:
    for sample in SAMPLES:
        graph = from_bytes(_model(sample).SerializeToString()).graph
        yield sample.name, frozenset(type(node.op) for node in graph.nonlinear if node.name.split("~")[0] != "q")


def _model(sample: Sample) -> ModelProto:
    known = {f"c{k}": array for k, array in enumerate(sample.known)} | {"scale": SCALE, "zero": ZERO}
    nodes = [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"])] if sample.quantised else []
    names = ["q" if sample.quantised else "x", *(f"c{k}" for k in range(len(sample.known)))]
    nodes.append(helper.make_node(sample.name, names, ["y"], **dict(sample.attributes)))
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [numpy_helper.from_array(np.asarray(array), name) for name, array in known.items()]
    graph = helper.make_graph(nodes, sample.name, [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", sample.opset)], ir_version=8)


def text(found: tuple[Row, ...]) -> str:
    """The whole file."""
    supported = [row for row in found if not row.reason]
    refused = [row for row in found if row.reason]
    return "\n".join([HEADER, f"## Supported: {len(supported)} operators", "", *_table(supported), "",
                      f"## Refused: {len(refused)} operators", "", "| operator | why |", "|---|---|",
                      *(f"| {row.name} | {row.reason} |" for row in refused), ""])


def _table(found: list[Row]) -> Iterator[str]:
    yield "| operator | import | nonlinear | interval | line | split | proof | float32 | remarks |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in found:
        kinds = ", ".join(kind.__name__ for kind in row.primitives) or "-"
        line, proof, float32 = ("yes" if flag else "no" for flag in
                                (row.bounded, row.name in OPERATORS, row.float32))
        cells = (row.name, row.since, kinds, "yes", line, row.split, proof, float32, row.remark)
        yield f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PATH.write_text(text(rows()), encoding="utf-8")
