"""A pair of networks as one network: outputs (y, y'), the graph coupled, two models behind it for the replay.

With it a property of two networks is a property like any other (`verify.pairs.properties`), decided by every engine and
replayed on both files. Where x' is a raised x (`verify.pairs.tie`), the second model gets that sum in front of it, so
that its inputs are x and the rise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from verify.certificate.robustness import EXACT_OPERATORS
from verify.errors import ShapeMismatch, UnsupportedOperator
from verify.onnx_import import Network, from_bytes
from verify.onnx_import.part import Part
from verify.pairs.couple import Unpaired, couple, merge
from verify.pairs.tie import SHARED, Tie


@dataclass(frozen=True, eq=False)
class Pair:
    """`network` maps the input of the pair to (y, y'), `outputs` entries each; `inputs` entries of x. `note` says why
    its graph is not coupled; empty where it is. `exact`: the graphs hold the numbers of the files, none rounded."""

    first: Network
    second: Network
    tie: Tie
    network: Network
    note: str = ""
    exact: bool = False

    @property
    def inputs(self) -> int:
        return math.prod(self.first.input_shape)

    @property
    def outputs(self) -> int:
        return math.prod(self.first.output_shape)


def pair(first: Network, second: Network, tie: Tie = SHARED, coupled: bool = True) -> Pair:
    """Coupled where the structures allow it, else side by side. Raises `ShapeMismatch` where the networks have not as
    many inputs and outputs."""
    for what, sizes in (("inputs", [math.prod(n.input_shape) for n in (first, second)]),
                        ("outputs", [math.prod(n.output_shape) for n in (first, second)])):
        if sizes[0] != sizes[1]:
            raise ShapeMismatch(f"{first.source} has {sizes[0]} {what}, {second.source} has {sizes[1]}; a pair has as "
                                "many on both sides")
    tie.check(math.prod(first.input_shape))
    other = from_bytes(raised_model(second, tie), f"{second.source} at a raised input") if tie.raised else second
    graph, note, exact = merge(first.graph, other.graph, tie), "as asked", _holds_the_numbers(first, second)
    if coupled:
        try:
            graph, note = couple(first.graph, second.graph, tie, exact), ""
        except Unpaired as reason:
            note = str(reason)
    declared = merge(first.declared, other.declared, tie)
    size = math.prod(first.input_shape)
    wiring = (*range(size), *range(size + len(tie.raised)))
    parts = tuple(Part(name, part.onnx, part.inputs, part.outputs)
                  for name, network in (("first", first), ("second", other)) for part in network.parts)
    whole = Network(graph, parts, f"{first.source} and {second.source}", first.opset,
                    first.operators + other.operators, declared, wiring)
    return Pair(first, second, tie, whole, note, exact)


def _holds_the_numbers(*networks: Network) -> bool:
    """True when no importer has rounded a weight, so that equal ones are equal."""
    allowed = EXACT_OPERATORS - ({"Gemm"} if any(network.double for network in networks) else set())
    return all(network.operators.keys() <= allowed for network in networks)


def raised_model(network: Network, tie: Tie) -> bytes:
    """The model with inputs x and e, which computes the network at x + e, e in the raised coordinates."""
    if len(network.inputs) != 1:
        raise UnsupportedOperator(f"{network.source} has {len(network.inputs)} inputs; one can be raised")
    model, (port,) = onnx.load_model_from_string(network.onnx), network.inputs
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    prefix = "pair"
    while any(name.startswith(prefix) for name in names):
        prefix += "_"
    kind = TensorProto.DOUBLE if port.double else TensorProto.FLOAT
    places = np.zeros(math.prod(port.shape), dtype=np.int64)
    places[list(tie.raised)] = np.arange(1, 1 + len(tie.raised))
    constants = {"zero": np.zeros(1, port.dtype), "places": places, "shape": np.array(port.shape, dtype=np.int64)}
    nodes = [
        helper.make_node("Concat", [f"{prefix}_zero", f"{prefix}_rise"], [f"{prefix}_table"], axis=0),
        helper.make_node("Gather", [f"{prefix}_table", f"{prefix}_places"], [f"{prefix}_flat"], axis=0),
        helper.make_node("Reshape", [f"{prefix}_flat", f"{prefix}_shape"], [f"{prefix}_full"]),
        helper.make_node("Add", [f"{prefix}_point", f"{prefix}_full"], [port.name]),
    ]
    _put_in_front(model, port.name, nodes, [
        helper.make_tensor_value_info(f"{prefix}_point", kind, list(port.shape)),
        helper.make_tensor_value_info(f"{prefix}_rise", kind, [len(tie.raised)]),
    ])
    model.graph.initializer.extend(numpy_helper.from_array(value, f"{prefix}_{name}")
                                   for name, value in constants.items())
    return model.SerializeToString()


def _put_in_front(model: ModelProto, name: str, nodes: list, inputs: list) -> None:
    """`nodes`, which compute the input `name` from `inputs`, in its place."""
    rest = [value for value in model.graph.input if value.name != name]
    before = list(model.graph.node)
    del model.graph.input[:], model.graph.node[:]
    model.graph.input.extend([*inputs, *rest])
    model.graph.node.extend([*nodes, *before])
    # Before IR version 4 every initialiser had to be listed as an input.
    model.ir_version = max(model.ir_version, 4)
