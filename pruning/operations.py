"""A traced network as rules: which `pruning.rules` rule each operation follows.

What does not depend on the input (buffers, parameters, masks computed from them) is evaluated. Everything unknown is
refused here, by name, before anything is changed.
"""

from __future__ import annotations

import copy
import math
import operator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from pruning.channels import ACCEPTED, Rebuild, Rule, recorded
from pruning.rules import Channelwise, Fixed, Flat, Join, Layer, Source, Sum, Whole, part_of
from verify.errors import InvalidInput, UnsupportedOperator

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_ALONE = (
    nn.ReLU, nn.LeakyReLU, nn.Sigmoid, nn.Tanh, nn.ELU, nn.Softplus, nn.Hardtanh, nn.ReLU6, nn.Identity, nn.Dropout,
    nn.Dropout2d, nn.AvgPool2d, nn.MaxPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.ZeroPad2d)
_FUNCTIONS = (
    torch.relu, F.relu, F.leaky_relu, torch.sigmoid, torch.tanh, torch.neg, operator.neg, torch.abs, F.dropout,
    F.avg_pool2d, F.max_pool2d, F.adaptive_avg_pool2d, F.hardtanh, F.relu6,
    "relu", "relu_", "sigmoid", "tanh", "neg", "abs", "contiguous", "clone")
_MEANS = (torch.mean, torch.sum, "mean", "sum")
_SIZES = (torch.flatten, "flatten", "view", "reshape", torch.reshape, "unflatten", "squeeze", "unsqueeze",
          torch.squeeze, torch.unsqueeze, nn.Flatten, nn.Unflatten)
_AXES = ("permute", "transpose", torch.permute, torch.transpose)
_ADD = (operator.add, operator.iadd, torch.add, "add", "add_")
_SUB = (operator.sub, operator.isub, torch.sub, "sub", "sub_")
_MUL = (operator.mul, operator.imul, torch.mul, "mul", "mul_")
_DIV = (operator.truediv, torch.div, "div", "div_")
_CAT = (torch.cat, torch.concat, torch.concatenate)


def rules_of(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> tuple[Rule, ...]:
    """One rule per operation that the output depends on, in order: the input first, the output last.

    Raises `UnsupportedOperator` naming the layer and its kind, `ShapeMismatch` when the input shape does not fit.
    """
    for node in traced.graph.nodes:
        module = traced.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, _NORMS) and module.running_mean is None:
            raise refusal(traced, node, " without running statistics")
    double, found = recorded(traced, tuple(input_shape))
    reading = _Reading(traced, double, found, _varying(traced, found), _dtype(traced))
    output = next(node for node in traced.graph.nodes if node.op == "output")
    if not isinstance(output.args[0], fx.Node):
        raise UnsupportedOperator("the network returns several values; one tensor is accepted")
    needed, stack = set(), [output.args[0]]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack += node.all_input_nodes
    rules: list[Rule] = []
    for node in traced.graph.nodes:
        if node in needed & reading.varying:
            rules += [rule for rule in reading.rules(node) if rule.node not in {r.node for r in rules}]
    if not rules or rules[-1].node is not output.args[0]:
        raise InvalidInput("the output of the network does not depend on its input")
    return tuple(rules)


def refusal(traced: fx.GraphModule, node: fx.Node, why: str = "") -> UnsupportedOperator:
    """The error that names an operation, its kind, and what would be accepted."""
    kind = node.target if node.op == "call_method" else getattr(node.target, "__name__", str(node.target))
    if node.op == "call_module":
        kind = type(traced.get_submodule(node.target)).__name__
    name = node.target if node.op == "call_module" else node.name
    return UnsupportedOperator(f"layer {name!r} ({kind}{why}): channels cannot be removed around it; accepted are "
                               f"{ACCEPTED}")


def _varying(traced: fx.GraphModule, found: dict[fx.Node, object]) -> frozenset[fx.Node]:
    """The nodes whose value depends on what the input is, not only on its shape."""
    varying: set[fx.Node] = set()
    for node in traced.graph.nodes:
        if node.op == "placeholder" or (
                not isinstance(found[node], (int, float, torch.Size)) and varying.intersection(node.all_input_nodes)):
            varying.add(node)
    return frozenset(varying)


def _dtype(traced: fx.GraphModule) -> torch.dtype:
    tensors = (*traced.parameters(), *traced.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


@dataclass(frozen=True, eq=False)
class _Reading:
    """The trace, its float64 copy, and what every node was for a zero input."""

    traced: fx.GraphModule
    double: nn.Module
    found: dict[fx.Node, object]
    varying: frozenset[fx.Node]
    dtype: torch.dtype

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Without the batch axis."""
        return tuple(self.found[node].shape[1:])

    def refuse(self, node: fx.Node, why: str = "") -> UnsupportedOperator:
        return refusal(self.traced, node, why)

    def rules(self, node: fx.Node) -> list[Rule]:
        if not isinstance(self.found[node], Tensor) or self.found[node].dim() < 2:
            raise self.refuse(node, ", no tensor with a batch and a channel axis")
        if node.op == "placeholder":
            return [Source(node, self.shape(node))]
        if node.op == "call_module":
            return [self._module(node, self.traced.get_submodule(node.target))]
        if node.target in _CAT:
            return self._join(node)
        if node.target in (*_ADD, *_SUB, *_MUL, *_DIV):
            return [self._arithmetic(node)]
        if node.target in _SIZES:
            return [self._resized(node, None)]
        return [self._function(node)]

    def _module(self, node: fx.Node, module: nn.Module) -> Rule:
        x = node.args[0]
        uses = sum(other.op == "call_module" and other.target == node.target for other in self.traced.graph.nodes)
        if uses > 1 and any(True for _ in module.parameters()):
            raise self.refuse(node, f", used {uses} times")
        if isinstance(module, nn.Conv2d) and module.groups != 1:
            raise self.refuse(node, f", groups={module.groups}")
        if type(module) in (nn.Linear, nn.Conv2d) and len(self.shape(x)) == (1 if type(module) is nn.Linear else 3):
            return Layer(node, (x,), module, self.double.get_submodule(node.target))
        if type(module) in _NORMS:
            return Channelwise(node, (x,), self.double.get_submodule(node.target), self._norm(node, module))
        if type(module) in (nn.Flatten, nn.Unflatten):
            return self._resized(node, module)
        if type(module) not in _ALONE or getattr(module, "return_indices", False):
            raise self.refuse(node)

        def again(build: Rebuild, kept: Tensor, x: fx.Node) -> fx.Node:
            return build.module(node.target, copy.deepcopy(module), x)

        return Channelwise(node, (x,), self.double.get_submodule(node.target), again)

    def _norm(self, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d):
        def again(build: Rebuild, kept: Tensor, x: fx.Node) -> fx.Node:
            new, rows = copy.deepcopy(module), kept.to(module.running_mean.device)
            new.num_features = int(kept.sum())
            for name in ("running_mean", "running_var"):
                setattr(new, name, getattr(module, name)[rows].clone())
            for name in ("weight", "bias"):
                if getattr(module, name) is not None:
                    setattr(new, name, part_of(getattr(module, name), getattr(module, name)[rows]))
            return build.module(node.target, new, x)

        return again

    def _join(self, node: fx.Node) -> list[Rule]:
        parts = node.args[0]
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if axis % self.found[node].dim() != 1:
            raise self.refuse(node, f" along axis {axis}, not the channels")
        source = next(n for n in self.traced.graph.nodes if n.op == "placeholder")
        if any(len(self.found[x]) != 1 for x in parts):
            raise self.refuse(node, " with a constant for several images")
        fixed = [Fixed(x, self.found[x][0], self.dtype, source) for x in parts if x not in self.varying]
        return [*fixed, Join(node, tuple(parts))]

    def _arithmetic(self, node: fx.Node) -> Rule:
        if node.kwargs or len(node.args) != 2:
            raise self.refuse(node, " with further arguments")
        varying = tuple(x for x in node.args if x in self.varying)
        if len(varying) == 1:
            return self._affine(node, varying[0])
        if node.target in (*_MUL, *_DIV) or len({self.shape(x) for x in varying}) > 1:
            raise self.refuse(node, " of two values that depend on the input")
        return Sum(node, varying, 1 if node.target in _ADD else -1, self.dtype)

    def _affine(self, node: fx.Node, x: fx.Node) -> Rule:
        """x with a number or a tensor that does not depend on the input."""
        first = node.args[0] is x
        constant = node.args[1] if first else node.args[0]
        if node.target in _DIV and not first:
            raise self.refuse(node, " by a value that depends on the input")
        value = self.found[constant] if isinstance(constant, fx.Node) else constant
        axis, blind = None, None
        if isinstance(value, Tensor):
            axis = self._channel_axis(node, x, value)
        if node.target in _MUL:
            blind = self._blind(x, value, axis)

        def written(other: object) -> tuple:
            return lambda y: (y, other) if first else (other, y)

        def again(build: Rebuild, kept: Tensor, y: fx.Node) -> fx.Node:
            other = self._operand(build, node, constant, value, axis, kept)
            return build.code.create_node(node.op, node.target, written(other)(y))

        call = _method(node.target) if node.op == "call_method" else node.target
        return Channelwise(node, (x,), lambda y: call(*written(value)(y.clone())), again, blind)

    def _channel_axis(self, node: fx.Node, x: fx.Node, value: Tensor) -> int | None:
        """Which axis of a constant runs over the channels of x; None where it is the same for all of them."""
        rank = self.found[x].dim()
        axis = value.dim() - rank + 1
        if value.dim() > rank or (value.dim() == rank and value.shape[0] != 1):
            raise self.refuse(node, f" with a constant of shape {list(value.shape)}, not one per channel or position")
        if axis < 0 or value.shape[axis] == 1 != self.shape(x)[0]:
            return None
        if value.shape[axis] != self.shape(x)[0]:
            raise self.refuse(node, " which makes several channels of one")
        return axis

    def _blind(self, x: fx.Node, value: object, axis: int | None) -> Tensor:
        zero = torch.as_tensor(value) == 0
        if axis is None:
            return zero.all().expand(self.shape(x)[0])
        return zero.movedim(axis, 0).reshape(zero.shape[axis], -1).all(1)

    def _operand(self, build: Rebuild, node: fx.Node, constant: object, value: object, axis: int | None, kept: Tensor):
        if not isinstance(value, Tensor):
            return value
        own = constant.op == "get_attr"
        whole = _attribute(self.traced, constant.target) if own else value.to(self.dtype)
        cut = whole if axis is None else whole.index_select(axis, kept.nonzero()[:, 0].to(whole.device))
        cut = part_of(whole, cut) if isinstance(whole, nn.Parameter) else cut.detach().clone()
        return build.tensor(constant.target if own else f"{node.name}_constant", cut)

    def _resized(self, node: fx.Node, module: nn.Module | None) -> Rule:
        """Same entries, other shape: (c, ...) -> (features), -> (c, other ...), or anything."""
        x = node.args[0]
        before, after = self.shape(x), self.shape(node)
        if self.found[node].shape[0] != 1 or math.prod(before) != math.prod(after):
            raise self.refuse(node, ", which moves the batch axis")
        if len(after) == 1:
            return Flat(node, (x,), math.prod(before[1:]), module)

        def again(build: Rebuild, kept: Tensor, y: fx.Node) -> fx.Node:
            return build.code.call_method("reshape", (y, -1, int(kept.sum()), *after[1:]))

        if after[0] == before[0]:
            return Channelwise(node, (x,), lambda y: y.reshape(1, *after), again)
        return Whole(node, (x,), after, again)

    def _function(self, node: fx.Node) -> Rule:
        x = node.args[0] if node.args else None
        if [n for n in node.all_input_nodes if n in self.varying] != [x]:
            raise self.refuse(node)
        args, kwargs = fx.node.map_arg((node.args[1:], dict(node.kwargs)), lambda n: self.found[n])
        call = _method(node.target) if node.op == "call_method" else node.target

        def again(build: Rebuild, kept: Tensor, y: fx.Node) -> fx.Node:
            return build.code.create_node(node.op, node.target, (y, *args), dict(kwargs))

        if node.target in _AXES and self.found[node].shape[0] == 1:
            return Whole(node, (x,), self.shape(node), again)
        reduced = node.target in _MEANS and self._spatial(x, args, kwargs)
        if node.target not in _FUNCTIONS and not reduced:
            raise self.refuse(node)
        return Channelwise(node, (x,), lambda y: call(y.clone(), *args, **kwargs), again)

    def _spatial(self, x: fx.Node, args: tuple, kwargs: dict) -> bool:
        """Whether a mean or sum runs over axes behind the channels only."""
        axes = args[0] if args else kwargs.get("dim")
        axes = (axes,) if isinstance(axes, int) else axes
        return axes is not None and all(axis % self.found[x].dim() > 1 for axis in axes)


def _method(name: str):
    return lambda x, *args, **kwargs: getattr(x, name)(*args, **kwargs)


def _attribute(root: nn.Module, target: str) -> Tensor:
    *path, name = target.split(".")
    return getattr(root.get_submodule(".".join(path)), name)
