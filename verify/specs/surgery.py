"""Small changes of ONNX models: nodes in front of the one input, nodes that read it and end in a further output.

Constants are exact: a number that the model's type does not hold is a sum of numbers that it does,

    v = t_1 + t_2 + ... ,   t_1 = fl(v), t_2 = fl(v - t_1), ...        (every difference is exact)

so that what is proved is proved for the numbers that were given.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from verify.errors import InvalidInput, UnsupportedOperator
from verify.onnx_import import Network, from_bytes
from verify.onnx_import.part import Port

MOST_TERMS = 8


class Surgery:
    """Nodes and constants under construction for a model with one input; names start with a prefix of their own."""

    def __init__(self, network: Network) -> None:
        self.port = only_input(network)
        self.source = network.source
        self.model = onnx.load_model_from_string(network.onnx)
        # Before IR version 4 every initialiser had to be listed as an input.
        self.model.ir_version = max(self.model.ir_version, 4)
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        graph = self.model.graph
        names = {name for node in graph.node for name in (*node.input, *node.output)}
        names |= {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
        self.prefix = "spec"
        while any(name.startswith(self.prefix) for name in names):
            self.prefix += "_"

    def constant(self, values: np.ndarray) -> str:
        """An initialiser; its type is that of `values`."""
        name = f"{self.prefix}_c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None) -> str:
        """A node with one output."""
        name = output or f"{self.prefix}_n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], f"{self.prefix}_{kind}{len(self.nodes)}"))
        return name

    def plus(self, value: str, numbers: np.ndarray, name: str) -> str:
        """value + numbers, exactly over the reals."""
        for term in terms(numbers, self.port, name):
            value = self.node("Add", value, self.constant(term))
        return value

    def reshaped(self, value: str, shape: Sequence[int], output: str | None = None) -> str:
        return self.node("Reshape", value, self.constant(np.array(shape, dtype=np.int64)), output=output)

    @property
    def kind(self) -> int:
        return TensorProto.DOUBLE if self.port.double else TensorProto.FLOAT

    def in_front(self, name: str, size: int) -> ModelProto:
        """The model with input `name` (1, size), from which the nodes compute its old input."""
        graph = self.model.graph
        rest = [value for value in graph.input if value.name != self.port.name]
        before = list(graph.node)
        del graph.input[:], graph.node[:]
        graph.input.extend([helper.make_tensor_value_info(name, self.kind, [1, size]), *rest])
        graph.node.extend([*self.nodes, *before])
        graph.initializer.extend(self.constants)
        return self.model

    def alone(self, name: str, size: int) -> bytes:
        """A model of the nodes only, from `name` (1, size) to the old input."""
        opsets = [entry for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")]
        graph = helper.make_graph(
            self.nodes, "front", [helper.make_tensor_value_info(name, self.kind, [1, size])],
            [helper.make_tensor_value_info(self.port.name, self.kind, list(self.port.shape))], self.constants)
        return helper.make_model(graph, opset_imports=opsets, ir_version=self.model.ir_version).SerializeToString()

    def behind(self, output: str, shape: Sequence[int]) -> ModelProto:
        """The model with the nodes' value `output` as its last output."""
        graph = self.model.graph
        graph.node.extend(self.nodes)
        graph.initializer.extend(self.constants)
        graph.output.append(helper.make_tensor_value_info(output, self.kind, list(shape)))
        return self.model


def only_input(network: Network) -> Port:
    """The input of a model that has one. Raises `UnsupportedOperator`."""
    if len(network.parts) != 1 or len(network.inputs) != 1:
        raise UnsupportedOperator(f"{network.source} has {len(network.inputs)} inputs; these specifications are about "
                                  "models with one (verify.spec declares several)")
    return network.inputs[0]


def reread(model: ModelProto, network: Network) -> Network:
    """The changed model of a network."""
    return from_bytes(model.SerializeToString(), network.source)


def terms(values: np.ndarray, port: Port, name: str) -> list[np.ndarray]:
    """Arrays of the port's type whose exact sum is `values` (float64); none where all are 0. Raises `InvalidInput`
    naming what the type cannot hold."""
    rest, found = np.asarray(values, dtype=np.float64), []
    while rest.any():
        with np.errstate(over="ignore", under="ignore"):
            term = rest.astype(port.dtype)
        gone = np.isinf(term) | ((term == 0) & (rest != 0))
        if gone.any() or len(found) == MOST_TERMS:
            raise InvalidInput(f"{name} holds {float(rest[gone][0]) if gone.any() else 'numbers'}, too large or too "
                               f"small a number for the model's type {np.dtype(port.dtype).name}")
        found.append(term)
        rest = rest - term.astype(np.float64)
    return found
