"""Neural activation patterns as premises: "where these ReLUs are active and those inactive, the class is c".

The delta-dominant pattern of a class fixes every ReLU that is active (inactive) on at least a share delta of its
samples; the others are free. Within the pattern the fixed ReLUs are linear,

    relu(h) = a h + relu(f h),     a = 1 where active, f = 1 where free, else 0,

so that the model gets this form (on the pattern the same function, also in floats) and h behind its outputs, with rows
h >= 0 (active) and h <= 0 (inactive) in every disjunct. Reference: Geng et al., "Towards Reliable Neural
Specifications", ICML 2023.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper

from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import import Network, from_bytes
from verify.onnx_import.expose import expose
from verify.query import LinearConstraint
from verify.specs.asked import Model, loaded
from verify.specs.numbers import Array, floats
from verify.specs.region import Region

ACTIVE, FREE, INACTIVE = 1, 0, -1


@dataclass(frozen=True, eq=False)
class Pattern:
    """For each layer, named by the value that its ReLU gives, ACTIVE, INACTIVE or FREE per neuron."""

    layers: tuple[tuple[str, np.ndarray], ...]

    @property
    def outputs(self) -> int:
        return sum(states.size for _, states in self.layers)

    @property
    def fixed(self) -> int:
        """How many neurons the pattern fixes."""
        return sum(int((states != FREE).sum()) for _, states in self.layers)

    def attach(self, network: Network) -> Network:
        """The model in the form that the pattern allows, with the values before the ReLUs behind its outputs."""
        inputs = relu_inputs(network)
        bare = onnx.load_model_from_string(network.onnx)
        graph = bare.graph
        for name, states in self.layers:
            at = next(k for k, node in enumerate(graph.node) if name in node.output)
            kind = np.float64 if network.double else np.float32
            free, active = (numpy_helper.from_array((states == state).astype(kind), f"{name}/{label}")
                            for state, label in ((FREE, "free"), (ACTIVE, "active")))
            graph.initializer.extend([free, active])
            nodes = [
                helper.make_node("Mul", [inputs[name], free.name], [f"{name}/kept"]),
                helper.make_node("Relu", [f"{name}/kept"], [f"{name}/relu"]),
                helper.make_node("Mul", [inputs[name], active.name], [f"{name}/linear"]),
                helper.make_node("Add", [f"{name}/relu", f"{name}/linear"], [name]),
            ]
            before, after = list(graph.node[:at]), list(graph.node[at + 1 :])
            del graph.node[:]
            graph.node.extend([*before, *nodes, *after])
        whole = expose(bare.SerializeToString(), [inputs[name] for name, _ in self.layers], network.source)
        return from_bytes(whole, network.source)

    def rows(self, begin: int) -> tuple[LinearConstraint, ...]:
        """What the pattern says of the values, numbered from `begin`."""
        states = np.concatenate([states.reshape(-1) for _, states in self.layers])
        return tuple(LinearConstraint(((begin + k, Fraction(-int(s))),), Fraction(0))
                     for k, s in enumerate(states) if s != FREE)


def mine(model: Model, samples: Array, label: int, share: float = 1.0, layers: Sequence[str] | None = None
         ) -> Pattern:
    """The dominant pattern of class `label` among those `samples` (n, *input) that the model gives this class. `share`:
    delta, above 1/2; `layers`: ONNX names of ReLU outputs, all if None."""
    points = floats(samples, "samples")
    if not 0.5 < share <= 1:
        raise InvalidInput(f"share must be above 0.5 and at most 1, got {share}")
    network = loaded(model, points.shape[1:])
    inputs = relu_inputs(network)
    names = list(inputs) if layers is None else list(layers)
    for name in names:
        if name not in inputs:
            near = difflib.get_close_matches(name, inputs, 3, 0.0)
            raise InvalidInput(f"{network.source} has no ReLU layer {name!r}; the layers are {', '.join(near)}")
    exposed = from_bytes(expose(network.onnx, [inputs[name] for name in names], network.source), network.source)
    size = int(np.prod(network.input_shape))
    if points[0].size != size:
        raise ShapeMismatch(f"a sample has {points[0].size} entries, the model takes {size}")
    outputs = int(np.prod(network.output_shape))
    y = exposed.graph.evaluate(torch.from_numpy(points).reshape(-1, *network.input_shape)).flatten(1).numpy()
    if not 0 <= label < outputs:
        raise InvalidInput(f"label {label} is out of range; with {outputs} outputs it must be 0 to {outputs - 1}")
    of_class = y[y[:, :outputs].argmax(1) == label, outputs:]
    if not len(of_class):
        raise InvalidInput(f"the model gives none of the {len(points)} samples the class {label}")
    on = (of_class > 0).mean(0)
    states = np.where(on >= share, ACTIVE, np.where(1 - on >= share, INACTIVE, FREE))
    found, begin = [], 0
    for name, port in zip(names, exposed.outputs[len(network.outputs):], strict=True):
        found.append((name, states[begin : begin + port.size].reshape(port.shape)))
        begin += port.size
    return Pattern(tuple(found))


def within_pattern(region: Region, pattern: Pattern) -> Region:
    """The inputs of a region whose activations follow the pattern."""
    rows = pattern.rows(region.extra)
    pieces = tuple(replace(piece, rows=(*piece.rows, *rows)) for piece in region.pieces)
    return replace(region, name=f"{region.name} within a pattern", pieces=pieces,
                   attachments=(*region.attachments, pattern))


def relu_inputs(network: Network) -> dict[str, str]:
    """ReLU outputs of a model and the values that they read, in order. Raises `InvalidInput` where there are none."""
    found = {node.output[0]: node.input[0] for node in onnx.load_model_from_string(network.onnx).graph.node
             if node.op_type == "Relu"}
    if not found:
        raise InvalidInput(f"{network.source} has no ReLU layer; activation patterns are about ReLUs")
    return found
