"""The declared graph of an ONNX file as a list of steps (`ops`): affine, relu, sigmoid or tanh. Nothing is simplified.

Moves of constants and exact arithmetic on them are done here, anything that would round is rejected. Whatever a node
has that its translation did not read, an attribute or an input, is rejected, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from verify.certificate.checker.call import Call, Step, Var
from verify.certificate.checker.errors import require
from verify.certificate.checker.onnx_reader import read_model
from verify.certificate.checker.operators import OPERATORS
from verify.certificate.checker.ops import Input, Relu, Smooth

OPSETS = range(8, 25)
# What numpy raises on attributes and shapes that contradict the operator's definition.
MALFORMED = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError, MemoryError)


@dataclass(frozen=True, eq=False)
class Network:
    """Steps in topological order: the first is the input, the last the output, all are needed. `dtype` of the file."""

    steps: tuple[Step, ...]
    dtype: str
    opset: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.steps[0].shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        return self.steps[-1].shape

    @cached_property
    def nonlinear(self) -> tuple[int, ...]:
        """The nonlinear steps, which proofs count in this order."""
        return tuple(k for k, step in enumerate(self.steps) if isinstance(step.op, (Relu, Smooth)))


def load_network(data: bytes) -> Network:
    """The network of an ONNX file's (decompressed) bytes; `Rejected` names the node that is not understood."""
    model = read_model(data)
    inputs = [entry for entry in model.inputs if entry[0] not in model.constants]
    require(model.opset in OPSETS and len(inputs) == len(model.outputs) == 1,
            f"opset {model.opset}, {len(inputs)} inputs, {len(model.outputs)} outputs; one input and output and "
            f"opsets {OPSETS[0]} to {OPSETS[-1]} are supported")
    (source, kind, sizes), target = inputs[0], model.outputs[0][0]
    require(kind in ("<f4", "<f8") and sizes is not None and 0 not in sizes[1:],
            f"input {source!r} is no float or double tensor of fixed sizes (the first may be open)")
    shape, dtype = tuple(size or 1 for size in sizes), np.dtype(kind).name
    steps, values = [Step(source, Input(), (), shape)], {**model.constants, source: Var(0, shape)}
    for node in model.nodes:
        call = Call(node, values, steps, model.opset, dtype)
        call.require(node.op_type in OPERATORS, "the operator is not supported")
        try:
            with np.errstate(all="ignore"):
                found = OPERATORS[node.op_type](call)
        except MALFORMED as error:
            call.require(False, f"malformed ({' '.join(str(error).split())[:200]})")
        named = dict(zip(node.outputs, found if isinstance(found, tuple) else (found,), strict=False))
        call.require(not call.unread, f"{sorted(call.unread)} not understood")
        call.require(not named.keys() & values.keys(), "an output that is already there")
        values.update(named)
    require(isinstance(values.get(target), Var), f"the output {target!r} does not depend on the input")
    return Network(_needed(steps, values[target].step), dtype, model.opset)


def _needed(steps: list[Step], last: int) -> tuple[Step, ...]:
    """The input and what step `last` depends on, renumbered."""
    keep = {0, last}
    for k in range(last, 0, -1):
        keep |= set(steps[k].inputs) if k in keep else set()
    place = {k: new for new, k in enumerate(sorted(keep))}
    return tuple(Step(s.name, s.op, tuple(place[i] for i in s.inputs), s.shape) for s in (steps[k] for k in place))
