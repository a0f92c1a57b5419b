"""ONNX file -> trainable torch module: the reverse of `training.export`.

The importer's graph is translated node by node into a `torch.fx.GraphModule` of ordinary layers (`nn.Linear`,
`nn.Conv2d`, `nn.ReLU`, `nn.Flatten`, sums, concatenations), so that whatever `verify` reads can be trained further,
pruned and grafted. Weights are parameters. Affine maps with constants go into the layer that they directly follow (a
bias, a batch normalisation), otherwise they stay what they are, with buffers that are not trained (input
normalisation, slopes of grafted neurons, masks).

Layout: a value of ONNX shape (1, *s) is (n, *s) here, n the batch; a value without a leading 1 gets n in front.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import singledispatchmethod
from pathlib import Path

import torch
from torch import Tensor, fx, nn

from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Graph, Node
from verify.onnx_import import Network, from_bytes, load_network, merge
from verify.onnx_import.rewrite import Match, apply_everywhere, sole_producer
from verify.onnx_import.simplify import drop_identities, merge_affines, merge_reshapes, remove_dead_nodes
from verify.ops import (
    Add,
    Affine,
    Concat,
    Constant,
    Conv,
    ConvTranspose,
    Gather,
    Input,
    Linear,
    Op,
    Relu,
    Reshape,
    Sigmoid,
    Sum,
    Tanh,
    Transpose,
)

Shape = tuple[int, ...]


def load_module(source: str | Path | bytes) -> fx.GraphModule:
    """The network of an ONNX file (or its bytes) as a module with parameters, in eval mode.

    Takes (n, *module.meta["input_shape"]), float32 as the file computes (float64 for a file in double precision).
    Modules are named after the ONNX values that they compute (characters that Python names do not have become "_"), so
    each ReLU carries the name of its node. Batch normalisations have become part of the layers before them, a maximum
    is a tree of differences and ReLUs. Raises `InvalidInput` or `UnsupportedOperator` by name.
    """
    if not isinstance(source, (str, Path, bytes)):
        raise InvalidInput(f"a network is the path of an ONNX file or its bytes, got {type(source).__name__}")
    return to_module(from_bytes(source) if isinstance(source, bytes) else load_network(source))


def to_module(network: Network) -> fx.GraphModule:
    """`load_module` for a network that has been read."""
    graph = _with_biases(network.graph)
    build = _Build(graph, torch.float64 if network.double else torch.float32)
    for node in graph.nodes:
        build.values[node.name] = build.translate(node.op, node)
    build.code.output(build.values[graph.output])
    module = fx.GraphModule(build.attributes, build.code, "ImportedNetwork").eval()
    module.meta.update(input_shape=_view(graph.input.shape), output_shape=_view(graph[graph.output].shape),
                       onnx_input_shape=graph.input.shape, source=network.source)
    return module


def _with_biases(graph: Graph) -> Graph:
    """Identities dropped, affine maps merged with each other and with the layer that they follow. Unlike `simplify`
    nothing goes into the layer behind: a normalisation folded into weights would change how they train."""
    rewrites: tuple[Callable[[Graph], Graph], ...] = (
        remove_dead_nodes, drop_identities, merge_reshapes, merge_affines, lambda g: apply_everywhere(g, _folded))
    while True:
        before = graph
        for rewrite in rewrites:
            graph = rewrite(graph)
        if graph is before:
            return graph


def _folded(graph: Graph, node: Node) -> Match | None:
    layer = sole_producer(graph, node) if isinstance(node.op, Affine) else None
    if layer is None or not isinstance(layer.op, (Linear, Conv, ConvTranspose)) or _is_average(layer.op):
        return None
    into = merge.affine_after_linear if isinstance(layer.op, Linear) else merge.affine_after_conv
    try:
        op = into(layer.op, node.op)
    except ValueError:
        return None  # it varies along axes that the layer shares its weights over
    return Match(node, (replace(node, op=op, inputs=layer.inputs),), uses=(layer,))


def _is_average(op: Op) -> bool:
    """Whether a convolution is the importer's form of an average pooling."""
    if not isinstance(op, Conv) or op.groups != op.weight.shape[0] or op.weight.shape[1] != 1 or op.bias is not None:
        return False
    kernel = op.weight.shape[2:].numel()
    return kernel > 1 and op.dilation == (1, 1) and bool((op.weight == 1 / kernel).all())


def _view(shape: Shape) -> Shape:
    """The shape behind the batch axis n: without the leading 1 of ONNX where there is one."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


@dataclass(frozen=True, eq=False)
class _Build:
    """State of one translation: the fx graph under construction, its attributes, and the value of each node."""

    source: Graph
    dtype: torch.dtype
    code: fx.Graph = field(default_factory=fx.Graph)
    attributes: dict[str, nn.Module | Tensor] = field(default_factory=dict)
    values: dict[str, fx.Node] = field(default_factory=dict)

    # -- what translators share ---------------------------------------------------------------------------------------

    def shape(self, node: Node, k: int = 0) -> Shape:
        return self.source[node.inputs[k]].shape

    def value(self, node: Node, k: int = 0) -> fx.Node:
        return self.values[node.inputs[k]]

    def module(self, node: Node, module: nn.Module, x: fx.Node) -> fx.Node:
        name = self.name(node.name)
        self.attributes[name] = module
        return self.code.call_module(name, (x,))

    def buffer(self, node: Node, part: str, value: Tensor) -> fx.Node:
        name = self.name(f"{node.name}_{part}")
        self.attributes[name] = value if value.dtype == torch.int64 else value.to(self.dtype)
        return self.code.get_attr(name)

    def name(self, wanted: str) -> str:
        """An attribute name made of `wanted`, not taken, neither here nor by what every module has."""
        name = "".join(c if c.isascii() and c.isalnum() else "_" for c in wanted).strip("_") or "value"
        name = f"n{name}" if name[0].isdigit() else name
        while name in self.attributes or hasattr(fx.GraphModule, name) or name in ("training", "graph", "meta"):
            name += "_"
        return name

    def reshaped(self, x: fx.Node, before: Shape, after: Shape) -> fx.Node:
        """(n, *before) -> (n, *after)."""
        if before == after:
            return x
        if len(after) == 1:
            return self.code.call_function(torch.flatten, (x, 1))
        return self.code.call_method("reshape", (x, -1, *after))

    def parameters(self, layer: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
        layer.weight = nn.Parameter(weight.to(self.dtype).clone())
        layer.bias = None if bias is None else nn.Parameter(bias.to(self.dtype).clone())
        return layer

    # -- one translator per operator ----------------------------------------------------------------------------------

    @singledispatchmethod
    def translate(self, op: Op, node: Node) -> fx.Node:
        raise UnsupportedOperator(
            f"node {node.name!r}: {type(op).__name__} has no torch layer here; accepted are Linear, Conv, "
            "ConvTranspose, Relu, Sigmoid, Tanh, affine maps, Add, Concat, Reshape, Transpose, Gather, Sum, constants"
        )

    @translate.register
    def _(self, op: Input, node: Node) -> fx.Node:
        return self.code.placeholder(self.name(node.name))

    @translate.register
    def _(self, op: Linear, node: Node) -> fx.Node:
        rows, columns = op.weight.shape
        layer = nn.Linear(columns, rows, op.bias is not None, device="meta")
        return self.module(node, self.parameters(layer, op.weight, op.bias), self.value(node))

    @translate.register(Conv)
    @translate.register(ConvTranspose)
    def _(self, op: Conv | ConvTranspose, node: Node) -> fx.Node:
        x, before, after = self.value(node), _view(self.shape(node)), _view(node.shape)
        # A batch of several images inside one input: they join n and part again.
        x = x if len(before) == 3 else self.code.call_method("reshape", (x, -1, *before[1:]))
        y = self.module(node, self._convolution(op, node), x)
        return y if len(after) == 3 else self.code.call_method("reshape", (y, -1, *after))

    def _convolution(self, op: Conv | ConvTranspose, node: Node) -> nn.Module:
        size = tuple(op.weight.shape)
        if _is_average(op):
            return nn.AvgPool2d(size[2:], op.stride, op.padding, count_include_pad=True)
        shared = {"stride": op.stride, "padding": op.padding, "dilation": op.dilation, "groups": op.groups,
                  "bias": op.bias is not None, "device": "meta"}
        if isinstance(op, Conv):
            layer = nn.Conv2d(size[1] * op.groups, size[0], size[2:], **shared)
        else:
            layer = nn.ConvTranspose2d(size[0], size[1] * op.groups, size[2:], output_padding=op.output_padding,
                                       **shared)
        return self.parameters(layer, op.weight, op.bias)

    @translate.register(Relu)
    @translate.register(Sigmoid)
    @translate.register(Tanh)
    def _(self, op: Op, node: Node) -> fx.Node:
        layer = {Relu: nn.ReLU, Sigmoid: nn.Sigmoid, Tanh: nn.Tanh}[type(op)]
        return self.module(node, layer(), self.value(node))

    @translate.register
    def _(self, op: Affine, node: Node) -> fx.Node:
        y, scale = self.value(node), op.scale
        pooled = self.source[node.inputs[0]]
        if isinstance(pooled.op, Sum) and scale is not None and scale.numel() == 1:
            y, scale = self._mean(pooled, node, scale)
        for part, value, apply in (("scale", scale, torch.mul), ("shift", op.shift, torch.add)):
            if value is not None:
                value = value[0] if value.dim() == len(node.shape) and _view(node.shape) != node.shape else value
                y = self.code.call_function(apply, (y, self.buffer(node, part, value)))
        return y

    def _mean(self, pooled: Node, node: Node, scale: Tensor) -> tuple[fx.Node, Tensor | None]:
        """A sum over all pixels times a number: the average, times what is left of the number."""
        shape = self.shape(pooled)
        if pooled.op.axes != (2, 3) or len(_view(shape)) != 3 or self.source.consumers[pooled.name] != (node.name,):
            return self.value(node), scale
        rest = scale * (shape[2] * shape[3])
        y = self.module(pooled, nn.AvgPool2d(shape[2:]), self.value(pooled))
        return y, None if bool((rest - 1).abs() < 1e-12) else rest

    @translate.register
    def _(self, op: Add, node: Node) -> fx.Node:
        total = self.value(node)
        total = total if op.signs[0] > 0 else self.code.call_function(torch.neg, (total,))
        for k, sign in enumerate(op.signs[1:], 1):
            total = self.code.call_function(torch.add if sign > 0 else torch.sub, (total, self.value(node, k)))
        return total

    @translate.register
    def _(self, op: Concat, node: Node) -> fx.Node:
        shapes = [self.shape(node, k) for k in range(len(node.inputs))]
        xs = [self.value(node, k) for k in range(len(node.inputs))]
        if op.axis > 0 and all(_view(s) != s for s in shapes):
            return self.code.call_function(torch.cat, (xs, op.axis))
        full = [self.reshaped(x, _view(s), s) for x, s in zip(xs, shapes, strict=True)]
        return self.reshaped(self.code.call_function(torch.cat, (full, op.axis + 1)), node.shape, _view(node.shape))

    @translate.register
    def _(self, op: Constant, node: Node) -> fx.Node:
        value = self.buffer(node, "value", op.value.reshape(_view(node.shape)))
        size = self.code.call_method("size", (self.values[self.source.input.name], 0))
        return self.code.call_method("expand", (value, size, *_view(node.shape)))

    @translate.register
    def _(self, op: Reshape, node: Node) -> fx.Node:
        before, after = _view(self.shape(node)), _view(node.shape)
        if len(before) > 1 and len(after) == 1:
            return self.module(node, nn.Flatten(), self.value(node))
        return self.reshaped(self.value(node), before, after)

    @translate.register
    def _(self, op: Transpose, node: Node) -> fx.Node:
        before, after = _view(self.shape(node)), _view(node.shape)
        if op.perm[0] == 0 and before != self.shape(node):
            return self.code.call_method("permute", (self.value(node), *op.perm))
        x = self.reshaped(self.value(node), before, self.shape(node))
        y = self.code.call_method("permute", (x, 0, *(k + 1 for k in op.perm)))
        return self.reshaped(y, node.shape, after)

    @translate.register
    def _(self, op: Gather, node: Node) -> fx.Node:
        flat, indices = self.value(node), op.indices.flatten()
        if len(_view(self.shape(node))) > 1:
            flat = self.code.call_function(torch.flatten, (flat, 1))
        if bool((indices < 0).any()):
            # The entry behind the last one is the fill.
            indices = torch.where(indices < 0, math.prod(self.shape(node)), indices)
            flat = self.code.call_function(nn.functional.pad, (flat, (0, 1), "constant", op.fill))
        found = self.code.call_function(torch.index_select, (flat, 1, self.buffer(node, "indices", indices)))
        return self.reshaped(found, (indices.numel(),), _view(node.shape))

    @translate.register
    def _(self, op: Sum, node: Node) -> fx.Node:
        before = _view(self.shape(node))
        dropped = before != self.shape(node)
        axes = [k if dropped else k + 1 for k in op.axes if not (dropped and k == 0)]
        after = tuple(1 if (k + dropped) in op.axes else size for k, size in enumerate(before))
        y = self.code.call_method("sum", (self.value(node), axes), {"keepdim": True}) if axes else self.value(node)
        return self.reshaped(y, after, _view(node.shape))
