"""Graph -> Graph rewrites that merge affine chains and drop what does nothing; `simplify` repeats them to a fixpoint.

Names that survive keep their values, nonlinear nodes are touched by `fuse` only. All rewrites act on float64 graphs.

Where float32 executions are meant, a node that rounds (`Node.roundings`) stays what it is, with two exceptions: moves
around it are merged, and an affine map right after a Linear, Conv or ConvTranspose goes into it. The error bound of the
merged operator, gamma32 (|W| m + |b|) with the roundings of both, covers executions that merge them and those that do
not: |s| gamma_k (|W| m + |b|) + gamma_j (|s| |W x + b| + |t|) <= gamma_(k + j) (|s W| m + |s b| + |t|). Where such a
sum stays apart, runtimes may still start the layer's sum with it (a residual, a matrix as bias): `charge_joint_sums`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from verify.graph import Graph, Node
from verify.onnx_import import merge
from verify.onnx_import.fuse import fuse
from verify.onnx_import.rewrite import Match, apply_everywhere, fresh, sole_producer
from verify.ops import Add, Affine, Concat, Conv, ConvTranspose, Gather, Linear, Reshape, Transpose

# Factors that may meet in one weight or scale: each brings at most 3.5 roundings (a batch normalisation: sum, root,
# quotient, folding), and `gamma` has eight to spare.
FACTORS = 2

SCALES = (2.0**-20, 2.0**20)
"""Scales that are folded into an operator that rounds: larger or smaller ones would hide what overflows or underflows
in front of them (`verify.bounds.noise`, LIMIT and TINY have room for `FACTORS` of these)."""

SPARE = 8
"""Roundings of an operator in front of which a layer's sum may be continued: those of a batch normalisation."""


def simplify(graph: Graph) -> Graph:
    """The same function with fewer nodes; graphs in other dtypes than float64 are returned as they are."""
    if graph.dtype != torch.float64:
        return graph
    graph = fuse(graph)
    rewrites: tuple[Callable[[Graph], Graph], ...] = (remove_dead_nodes, drop_identities, merge_reshapes)
    if _longest_factor_chain(graph) <= FACTORS:
        rewrites += (merge_affines, fold_affine_into_linear, lower_affines)
    rewrites += (merge_linear_chains,)
    while True:
        before = graph
        for rewrite in rewrites:
            graph = rewrite(graph)
        if graph is before:
            return charge_joint_sums(graph)


def charge_joint_sums(graph: Graph) -> Graph:
    """Sums and affine maps that round take part in as many roundings as the layers whose outputs they read have terms:
    an execution may add them to that layer's sum in any place."""
    return replace(graph, nodes=tuple(_joint(graph, node) for node in graph.nodes))


def _joint(graph: Graph, node: Node) -> Node:
    if node.roundings is None or not isinstance(node.op, (Add, Affine)):
        return node
    terms = 0
    for name in node.inputs:
        layer = graph[name]
        while isinstance(layer.op, (Reshape, Transpose, Gather)):
            layer = graph[layer.inputs[0]]
        if isinstance(layer.op, (Linear, Conv, ConvTranspose)) and layer.roundings is not None:
            terms = max(terms, layer.op.forward_terms(*graph.input_shapes(layer)) + layer.roundings)
    return replace(node, roundings=max(node.roundings, terms + SPARE)) if terms else node


def remove_dead_nodes(graph: Graph) -> Graph:
    """Without the nodes that the output does not need."""
    pruned = graph.pruned()
    return graph if len(pruned.nodes) == len(graph.nodes) else pruned


def drop_identities(graph: Graph) -> Graph:
    """Reshapes to the same shape, transposes and gathers that move nothing, affine maps x -> x, joins of one value."""
    return apply_everywhere(graph, _identity)


def merge_reshapes(graph: Graph) -> Graph:
    """A reshape of a reshape becomes one; a transpose that only moves axes of size 1 becomes a reshape."""
    return apply_everywhere(graph, _reshapes)


def lower_affines(graph: Graph) -> Graph:
    """An affine map before a reshape moves behind it, next to the layer that may take it in."""
    return apply_everywhere(graph, _lowered)


def merge_affines(graph: Graph) -> Graph:
    """Two affine maps in a row become one."""
    return apply_everywhere(graph, _affines)


def fold_affine_into_linear(graph: Graph) -> Graph:
    """An affine map next to a Linear, Conv or ConvTranspose goes into its weight and bias."""
    return apply_everywhere(graph, _folded)


def merge_linear_chains(graph: Graph) -> Graph:
    """Two Linear layers in a row, reshapes in between allowed, become one when that needs no more weights."""
    return apply_everywhere(graph, _linears)


def _longest_factor_chain(graph: Graph) -> int:
    """How many affine scales can meet in one weight: the most on a path of layers and reshapes."""
    depth: dict[str, int] = {}
    for node in graph.nodes:
        passes = isinstance(node.op, (Affine, Linear, Conv, ConvTranspose, Reshape))
        before = depth[node.inputs[0]] if passes and node.inputs else 0
        depth[node.name] = before + (isinstance(node.op, Affine) and not _exact_factors(node.op.scale))
    return max(depth.values())


def _exact_factors(scale: Tensor | None) -> bool:
    """True for factors 0, 1 and -1 (masks, signs), with which products are never rounded."""
    return scale is None or bool(((scale == 0) | (scale.abs() == 1)).all())


def _rounds(*nodes: Node) -> bool:
    """True when an execution may round at one of the nodes, and they have to stay apart."""
    return any(node.roundings is not None for node in nodes)


def _all(value: Tensor | None, wanted: float) -> bool:
    return value is None or bool((value == wanted).all())


def _does_nothing(op: object, shape: tuple[int, ...]) -> bool:
    """True when op maps every value of this shape to itself (given that it keeps the shape)."""
    if isinstance(op, Affine):
        # A shift that cancelled to zero still stands for an uncertain one.
        return _all(op.scale, 1.0) and _all(op.shift, 0.0) and _all(op.shift_magnitude, 0.0)
    if isinstance(op, Gather):
        return torch.equal(op.indices.flatten(), torch.arange(math.prod(shape), device=op.indices.device))
    return isinstance(op, (Reshape, Concat)) or (isinstance(op, Transpose) and op.perm == tuple(range(len(shape))))


def _identity(graph: Graph, node: Node) -> Match | None:
    if len(node.inputs) != 1 or graph[node.inputs[0]].shape != node.shape or not _does_nothing(node.op, node.shape):
        return None
    if node.roundings is not None:
        return None
    return Match(node, alias=node.inputs[0])


def _reshapes(graph: Graph, node: Node) -> Match | None:
    if isinstance(node.op, Transpose):
        shape = graph[node.inputs[0]].shape
        moved = [axis for axis in node.op.perm if shape[axis] != 1]
        still = moved == sorted(moved)
        return Match(node, (replace(node, op=Reshape(node.shape)),)) if still else None
    if not isinstance(node.op, Reshape) or not isinstance(graph[node.inputs[0]].op, Reshape):
        return None
    first = graph[node.inputs[0]]
    return Match(node, (replace(node, inputs=first.inputs),), uses=(first,))


def _reshaped(value: Tensor | None, before: tuple[int, ...], after: tuple[int, ...]) -> Tensor | None:
    if value is None or value.numel() == 1:
        return None if value is None else value.reshape(())
    return value.expand(before).reshape(after)


def _lowered(graph: Graph, node: Node) -> Match | None:
    affine = sole_producer(graph, node) if isinstance(node.op, Reshape) else None
    if affine is None or not isinstance(affine.op, Affine) or affine.roundings is not None:
        return None
    op = affine.op
    parts = [_reshaped(v, affine.shape, node.shape) for v in (op.scale, op.shift, op.shift_magnitude)]
    reshape = Node(fresh(graph, f"{affine.name}~reshaped"), node.op, affine.inputs, node.shape)
    return Match(node, (reshape, replace(node, op=Affine(*parts), inputs=(reshape.name,))), uses=(affine,))


def _affines(graph: Graph, node: Node) -> Match | None:
    first = sole_producer(graph, node) if isinstance(node.op, Affine) else None
    if first is None or not isinstance(first.op, Affine) or _rounds(first, node):
        return None
    if merge.underflows(first.op.scale, node.op.scale) or merge.underflows(first.op.shift, node.op.scale):
        return None
    op = merge.affine_after_affine(first.op, node.op)
    return Match(node, (replace(node, op=op, inputs=first.inputs),), uses=(first,))


def _folded(graph: Graph, node: Node) -> Match | None:
    first = sole_producer(graph, node)
    if first is None or _fold_underflows(first.op, node.op):
        return None
    if _rounds(first, node) and not _execution_may_fold(first, node):
        return None
    try:
        op = _fold(first.op, node.op)
    except ValueError:
        # The affine map varies along axes that the layer shares its weights over.
        return None
    if op is None:
        return None
    # The scale and the shift are terms of their own.
    roundings = first.roundings + node.roundings + 2 if _rounds(first, node) else None
    return Match(node, (replace(node, op=op, inputs=first.inputs, roundings=roundings),), uses=(first,))


def _execution_may_fold(first: Node, second: Node) -> bool:
    """Whether the error bound of the merged operator covers both: an affine map after a layer, see above."""
    if None in (first.roundings, second.roundings) or not isinstance(second.op, Affine):
        return False
    size = torch.ones(()) if second.op.scale is None else second.op.scale.abs()
    return not isinstance(first.op, Affine) and bool((SCALES[0] <= size.min()) & (size.max() <= SCALES[1]))


def _fold_underflows(first: object, second: object) -> bool:
    """True when a scale or shift is too small to go into the neighbour's weight or bias."""
    affine, layer = (first, second) if isinstance(first, Affine) else (second, first)
    if not isinstance(affine, Affine) or not isinstance(layer, (Linear, Conv, ConvTranspose)):
        return False
    parts = (layer.weight,) if affine is first else (layer.weight, layer.bias)
    constants = (affine.scale, affine.shift) if affine is first else (affine.scale,)
    return any(merge.underflows(part, constant) for part in parts for constant in constants)


def _fold(first: object, second: object) -> Linear | Conv | ConvTranspose | None:
    if isinstance(second, Affine) and isinstance(first, Linear):
        return merge.affine_after_linear(first, second)
    if isinstance(second, Affine) and isinstance(first, (Conv, ConvTranspose)):
        return merge.affine_after_conv(first, second)
    if isinstance(first, Affine) and isinstance(second, Linear):
        return merge.linear_after_affine(first, second)
    if isinstance(first, Affine) and isinstance(second, Conv):
        return merge.conv_after_affine(first, second)
    return None


def _linears(graph: Graph, node: Node) -> Match | None:
    if not isinstance(node.op, Linear):
        return None
    between: list[Node] = []
    first = sole_producer(graph, node)
    while first is not None and isinstance(first.op, Reshape):
        between.append(first)
        first = sole_producer(graph, first)
    if first is None or not isinstance(first.op, Linear) or _rounds(first, node):
        return None
    (rows, inner), size = node.op.weight.shape, first.op.weight.shape[1]
    flat = math.prod(first.shape) == first.shape[-1] == inner and math.prod(node.shape) == rows
    if (between and not flat) or rows * size > inner * (rows + size):
        return None
    if merge.underflows(first.op.weight, node.op.weight):
        return None
    op = merge.linear_after_linear(first.op, node.op)
    shape = (*node.shape[:-1], size)
    if graph[first.inputs[0]].shape == shape:
        return Match(node, (replace(node, op=op, inputs=first.inputs),), uses=(first, *between))
    reshape = Node(fresh(graph, f"{node.name}~input"), Reshape(shape), first.inputs, shape)
    merged = replace(node, op=op, inputs=(reshape.name,))
    return Match(node, (reshape, merged), uses=(first, *between))
