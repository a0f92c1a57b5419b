"""A grafted model in plain operators: what is exported.

Every grafted activation becomes one of

    relu(z keep) + (z s + t)     in general; constants that do not vary over positions become one number per channel
    z s + t                      where all neurons of the site are lines: no ReLU is left
    nothing                      where such a line goes into the layer beside it: the linear layer, convolution (with
                                 one line per channel) or batch normalisation in front, or the linear layer behind

and two linear layers that then follow each other are multiplied, unless the product has more weights. Products are
formed in float64. The result computes the same function up to rounding; it is not meant to be trained.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, fx, nn

from grafting.activation import GraftedReLU
from grafting.sites import relu_sites, separated
from verify.live import NORMALISATIONS


class PlainGraft(nn.Module):
    """relu(z keep) + (z s + t) with constants that broadcast to z."""

    def __init__(self, keep: Tensor, s: Tensor, t: Tensor):
        super().__init__()
        for name, value in (("keep", keep), ("s", s), ("t", t)):
            self.register_buffer(name, value)
        self.relu = nn.ReLU()

    def forward(self, z: Tensor) -> Tensor:
        return self.relu(z * self.keep) + (z * self.s + self.t)


class Line(nn.Module):
    """z s + t with constants that broadcast to z."""

    def __init__(self, s: Tensor, t: Tensor):
        super().__init__()
        self.register_buffer("s", s)
        self.register_buffer("t", t)

    def forward(self, z: Tensor) -> Tensor:
        return z * self.s + self.t


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (PlainGraft, Line)) or super().is_leaf_module(m, module_qualified_name)


@torch.no_grad()
def plain(model: nn.Module, input_shape: tuple[int, ...]) -> fx.GraphModule:
    """The model, in eval mode, without grafted activations; the given one is left as it is."""
    model = copy.deepcopy(model).eval()
    sites = relu_sites(model, input_shape)
    if not all(site.own_module for site in sites.values()):
        model = separated(model, sites)
    for name in sites:
        module = model.get_submodule(name)
        if isinstance(module, GraftedReLU):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, _simplest(module))
    result = fx.GraphModule(model, _Tracer().trace(model))
    while _folded_once(result):
        pass
    result.graph.lint()
    result.recompile()
    result.delete_all_unused_submodules()
    return result.eval()


def _simplest(module: GraftedReLU) -> nn.Module:
    mask = module.selected
    if not bool(mask.any()):
        return nn.ReLU()
    s, t = (_per_channel(line.detach() * module.mask) for line in (module.slope, module.intercept))
    return Line(s, t) if bool(mask.all()) else PlainGraft(_per_channel(1 - module.mask), s, t)


def _per_channel(value: Tensor) -> Tensor:
    """(c, 1, 1) for values (c, h, w) that do not vary over positions."""
    if value.dim() != 3:
        return value.clone()
    first = value[:, :1, :1]
    return first.clone() if bool((value == first).all()) else value.clone()


def _folded_once(traced: fx.GraphModule) -> bool:
    """Folds one line into a neighbour, or multiplies one pair of linear layers; False when there is nothing to do."""
    modules = dict(traced.named_modules())
    calls: dict[nn.Module, int] = {}
    for node in traced.graph.nodes:
        if node.op == "call_module":
            calls[modules[node.target]] = calls.get(modules[node.target], 0) + 1

    def own(node: object) -> nn.Module | None:
        """The module of a call that is the only one of it."""
        if isinstance(node, fx.Node) and node.op == "call_module" and calls[modules[node.target]] == 1:
            return modules[node.target]
        return None

    for node in traced.graph.nodes:
        module = own(node)
        if module is None or not node.args or not isinstance(node.args[0], fx.Node):
            continue
        before, after = node.args[0], next(iter(node.users)) if len(node.users) == 1 else None
        if isinstance(module, Line):
            done = (len(before.users) == 1 and _into_front(own(before), module)) or _into_back(after, own, module)
        else:
            front = own(before)
            done = isinstance(front, nn.Linear) and isinstance(module, nn.Linear) and len(before.users) == 1 \
                and _multiplied(front, module)
            node, before = (before, before.args[0]) if done else (node, before)
        if done:
            node.replace_all_uses_with(before)
            traced.graph.erase_node(node)
            return True
    return False


def _into_front(layer: nn.Module | None, line: Line) -> bool:
    """Changes the layer in front of the line to do what both do; False where it cannot."""
    s, t = line.s.double(), line.t.double()
    if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d)):
        if s.shape[1:].numel() != 1 or t.shape[1:].numel() != 1:
            return False
        s, t = s.flatten(), t.flatten()
    elif not isinstance(layer, (nn.Linear, nn.BatchNorm1d)) or s.dim() != 1:
        return False
    if isinstance(layer, NORMALISATIONS) and layer.weight is None:
        return False
    weight = layer.weight.double()
    _set(layer, weight * s.reshape(-1, *[1] * (weight.dim() - 1)), t if layer.bias is None else layer.bias * s + t)
    return True


def _into_back(after: fx.Node | None, own, line: Line) -> bool:
    """Changes the linear layer behind the line (a flatten may be between) to do what both do; False where it cannot."""
    layer = own(after)
    flat = line.s.dim() == 1
    if isinstance(layer, nn.Flatten) and after is not None and len(after.users) == 1:
        if (layer.start_dim, layer.end_dim) != (1, -1):
            return False
        layer, flat = own(next(iter(after.users))), True
    if not flat or not isinstance(layer, nn.Linear):
        return False
    s, t = (_spread(value, layer.in_features) for value in (line.s.double(), line.t.double()))
    if s is None or t is None:
        return False
    weight = layer.weight.double()
    bias = weight @ t
    _set(layer, weight * s, bias if layer.bias is None else layer.bias.double() + bias)
    return True


def _spread(value: Tensor, size: int) -> Tensor | None:
    """Constants (i,), (c, h, w) or (c, 1, 1) as one number for each of `size` flat entries."""
    if value.numel() == size:
        return value.flatten()
    return value.flatten().repeat_interleave(size // value.numel()) if value.shape[1:].numel() == 1 else None


def _multiplied(first: nn.Linear, second: nn.Linear) -> bool:
    """Changes `second` to second(first(x)) unless that needs more weights."""
    (rows, inner), size = second.weight.shape, first.weight.shape[1]
    if rows * size > inner * (rows + size):
        return False
    weight = second.weight.double()
    bias = None if second.bias is None else second.bias.double()
    if first.bias is not None:
        moved = weight @ first.bias.double()
        bias = moved if bias is None else moved + bias
    _set(second, weight @ first.weight.double(), bias)
    second.in_features = size
    return True


def _set(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    like = layer.weight
    layer.weight = nn.Parameter(weight.to(like), requires_grad=False)
    layer.bias = None if bias is None else nn.Parameter(bias.to(like), requires_grad=False)
