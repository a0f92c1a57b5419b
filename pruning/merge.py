"""Fewer layers for the same function: batch normalisations into the layer before them, linear layers into each other.

Products are formed in float64 and rounded once to the parameters' own type.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@torch.no_grad()
def normalisations_folded(module: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """A copy where a batch normalisation (as in eval mode) has gone into the `Linear` or `Conv2d` before it that
    nothing else reads; and what was done, one line each."""
    new, done = copy.deepcopy(module), []
    for node in list(new.graph.nodes):
        first = _sole_layer(new, node)
        if first is not None and isinstance(new.get_submodule(node.target), _NORMS):
            layer = _normalised(new.get_submodule(first.target), new.get_submodule(node.target))
            new.set_submodule(first.target, layer)
            done.append(f"{node.target} into {first.target}")
            node.replace_all_uses_with(first)
            new.graph.erase_node(node)
    return _cleaned(new), tuple(done)


@torch.no_grad()
def linears_merged(module: fx.GraphModule) -> tuple[fx.GraphModule, tuple[str, ...]]:
    """A copy where a linear layer has gone into the linear layer behind it, the only one that reads it, when that needs
    no more weights: W (o, m), V (m, i) become W V (o, i); and what was done, one line each."""
    new, done = copy.deepcopy(module), []
    for node in list(new.graph.nodes):
        first = _sole_layer(new, node)
        if first is None:
            continue
        before, after = new.get_submodule(first.target), new.get_submodule(node.target)
        if type(after) is type(before) is nn.Linear and _smaller(before, after):
            new.set_submodule(node.target, _product(before, after))
            done.append(f"{first.target} into {node.target}")
            node.replace_input_with(first, first.args[0])
            new.graph.erase_node(first)
    return _cleaned(new), tuple(done)


def _cleaned(module: fx.GraphModule) -> fx.GraphModule:
    module.delete_all_unused_submodules()
    module.recompile()
    return module


def _sole_layer(module: fx.GraphModule, node: fx.Node) -> fx.Node | None:
    """The linear or convolution layer that only `node` reads, where `node` is a layer that may take it in."""
    if node.op != "call_module" or not isinstance(module.get_submodule(node.target), (nn.Linear, *_NORMS)):
        return None
    first = node.args[0]
    if first.op != "call_module" or len(first.users) != 1 or _uses(module, first) > 1 or _uses(module, node) > 1:
        return None
    return first if type(module.get_submodule(first.target)) in (nn.Linear, nn.Conv2d) else None


def _uses(module: fx.GraphModule, node: fx.Node) -> int:
    return sum(other.op == "call_module" and other.target == node.target for other in module.graph.nodes)


def _smaller(before: nn.Linear, after: nn.Linear) -> bool:
    rows, inner, columns = after.out_features, after.in_features, before.in_features
    return rows * columns <= inner * (rows + columns)


def _normalised(layer: nn.Linear | nn.Conv2d, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Linear | nn.Conv2d:
    scale = torch.rsqrt(norm.running_var.double() + norm.eps)
    scale = scale if norm.weight is None else scale * norm.weight.double()
    bias = -norm.running_mean.double() if layer.bias is None else layer.bias.double() - norm.running_mean.double()
    bias = bias * scale if norm.bias is None else bias * scale + norm.bias.double()
    weight = layer.weight.double() * scale.reshape(-1, *[1] * (layer.weight.dim() - 1))
    return _with(layer, weight, bias)


def _product(before: nn.Linear, after: nn.Linear) -> nn.Linear:
    weight = after.weight.double()
    bias = None if after.bias is None else after.bias.double()
    if before.bias is not None:
        moved = weight @ before.bias.double()
        bias = moved if bias is None else bias + moved
    new = _with(after, weight @ before.weight.double(), bias)
    new.in_features = before.in_features
    return new


def _with(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    new, like = copy.deepcopy(layer), layer.weight
    new.weight = nn.Parameter(weight.to(like.dtype), like.requires_grad)
    new.bias = None if bias is None else nn.Parameter(bias.to(like.dtype), like.requires_grad)
    return new
