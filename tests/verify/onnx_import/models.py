"""Small ONNX models for the import tests."""

from __future__ import annotations

import numpy as np
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from verify.onnx_import import Network, compare_with_onnxruntime, from_bytes


def constant(name: str, value: object, dtype: type = np.float32):
    """An initialiser."""
    return numpy_helper.from_array(np.asarray(value, dtype=dtype), name)


def model(
    nodes,
    input_shape,
    initialisers=(),
    opset: int = 13,
    output: str = "y",
    *,
    inputs=("x",),
    outputs=None,
    elem: int = TensorProto.FLOAT,
    functions=(),
    domains=(),
) -> ModelProto:
    """Input(s) -> nodes -> output(s), shapes of outputs left open."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info(name, elem, input_shape) for name in inputs],
        [helper.make_tensor_value_info(name, elem, None) for name in outputs or (output,)],
        list(initialisers),
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8, functions=list(functions))


def single(
    op_type: str, input_shape, consts=(), opset: int = 13, order=None, outputs=("y",), **attributes
) -> ModelProto:
    """One operator on x and constants c0, c1, ...; `order` lists the input names when x is not first."""
    initialisers = [
        constant(f"c{k}", v, np.asarray(v).dtype if np.asarray(v).dtype.kind in "ib" else np.float32)
        for k, v in enumerate(consts)
        if v is not None
    ]
    names = order or ["x", *(f"c{k}" if v is not None else "" for k, v in enumerate(consts))]
    node = helper.make_node(op_type, names, list(outputs), name=op_type.lower(), **attributes)
    return model([node], input_shape, initialisers, opset, outputs=[name for name in outputs if name])


def imported(proto: ModelProto) -> Network:
    return from_bytes(proto.SerializeToString(), source="test.onnx")


def agrees(proto: ModelProto, points: int = 4, seed: int = 0) -> Network:
    """The import, after it was compared with onnxruntime on random points (standard normal)."""
    network = imported(proto)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(points, *network.input_shape, generator=generator)
    assert compare_with_onnxruntime(network, x) < 1e-5
    return network


def ops_of(network: Network) -> list[str]:
    return [type(node.op).__name__ for node in network.graph.nodes]
