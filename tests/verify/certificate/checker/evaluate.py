"""The checker's network evaluated, and compared with the prover's graph of the same file."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnxruntime
import torch

from verify.certificate.checker.network import Network, load_network
from verify.certificate.checker.ops import Input, Relu, Smooth
from verify.onnx_import import from_bytes
from verify.onnx_import.simplify import simplify


def values(network: Network, x: np.ndarray, smooth: Callable = lambda kind, z: z) -> list[np.ndarray]:
    """The value of every step at x, float64 or exact numbers; `smooth` computes sigmoid and tanh."""
    found: list[np.ndarray] = []
    for step in network.steps:
        inputs = [found[i] for i in step.inputs]
        if isinstance(step.op, Input):
            y = x
        elif isinstance(step.op, Relu):
            y = np.where(inputs[0] > 0, inputs[0], 0 * inputs[0])
        elif isinstance(step.op, Smooth):
            y = smooth(step.op.kind, inputs[0])
        else:
            y = step.op.forward(inputs)
        assert y.shape == step.shape
        found.append(y)
    return found


def smooth64(kind: str, z: np.ndarray) -> np.ndarray:
    return np.tanh(z) if kind == "tanh" else 1 / (1 + np.exp(-z))


def kinds(network: Network) -> list[tuple[str, int]]:
    """Kind and size of the nonlinear layers in order."""
    steps = [network.steps[k] for k in network.nonlinear]
    return [(getattr(step.op, "kind", "relu"), math.prod(step.shape)) for step in steps]


def agrees(data: bytes, scale: float = 1.0) -> Network:
    """The checker's network: the same nonlinear layers as the prover's simplified graph in the same order, with the
    same entries, and the outputs of the prover and of onnxruntime, at a random input."""
    network, imported = load_network(data), from_bytes(data)
    graph = simplify(imported.graph)
    x = scale * np.random.default_rng(len(data)).standard_normal(network.input_shape).astype(np.float32)
    ours = values(network, x.astype(np.float64), smooth64)
    layers = [node.inputs[0] for node in graph.nonlinear]
    theirs = graph.values(torch.from_numpy(x.astype(np.float64))[None], layers)
    names = [(type(node.op).__name__.lower(), math.prod(node.shape)) for node in graph.nonlinear]
    assert kinds(network) == names
    sources = [network.steps[k].inputs[0] for k in network.nonlinear]
    for k, name in [*zip(sources, layers, strict=True), (-1, graph.output)]:
        mine, other = ours[k], theirs[name]
        other = other.numpy().ravel()
        # Constants that a file leaves out are float32 numbers here, decimals there.
        assert np.abs(mine.ravel() - other).max() <= 1e-7 * (1 + np.abs(other).max())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    dtype = np.float64 if imported.double else np.float32
    reference = session.run(None, {imported.input_name: x.astype(dtype)})[0]
    assert reference.shape == network.output_shape
    assert np.abs(ours[-1] - reference).max() <= 1e-4 * (1 + np.abs(reference).max())
    return network
