"""What each operation of a network says about channels: the rules of `pruning.channels`.

A rule knows which outputs are constant, which inputs an output needs, and how the operation is written down for fewer
channels. Layers (`Linear`, `Conv2d`) choose freely and fold absent constants into their bias; everything else passes
channels on. Batch normalisations and dropout are meant as in eval mode.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, fx, nn

from pruning.channels import Rebuild, Rule, Value

_WRITTEN = MappingProxyType({1: torch.add, -1: torch.sub})


@dataclass(frozen=True, eq=False)
class Source(Rule):
    """The network input; all of it stays."""

    node: fx.Node
    shape: tuple[int, ...]
    inputs: tuple[fx.Node, ...] = ()

    def constants(self, *xs: Value) -> Value:
        content = torch.zeros(self.shape, dtype=torch.float64)
        return Value(torch.zeros(self.shape[0], dtype=torch.bool), content)

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return ()

    def emit(self, build, kept, present, xs):
        return build.code.placeholder(self.node.target)


@dataclass(frozen=True, eq=False)
class Fixed(Rule):
    """A tensor that does not depend on the input, among channels that do."""

    node: fx.Node
    content: Tensor
    dtype: torch.dtype
    source: fx.Node
    inputs: tuple[fx.Node, ...] = ()

    def constants(self, *xs: Value) -> Value:
        return Value(torch.ones(self.content.shape[0], dtype=torch.bool), self.content)

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return ()

    def emit(self, build, kept, present, xs):
        value = build.tensor(f"{self.node.name}_fixed", self.content[kept].to(self.dtype))
        size = build.code.call_method("size", (build.made[self.source], 0))
        return build.code.call_method("expand", (value, size, *[-1] * self.content.dim()))


@dataclass(frozen=True, eq=False)
class Layer(Rule):
    """`Linear` or `Conv2d`. `module` as it is, `double` a copy in float64."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    module: nn.Linear | nn.Conv2d
    double: nn.Linear | nn.Conv2d

    def _apply(self, content: Tensor) -> Tensor:
        """The layer without its bias: (i, ...) -> (o, ...)."""
        y = self.double(content.unsqueeze(0))[0]
        bias = self.double.bias
        return y if bias is None else y - bias.reshape(-1, *[1] * (y.dim() - 1))

    def constants(self, *xs: Value) -> Value:
        weight = self.double.weight
        varying = weight[:, ~xs[0].constant].flatten(1)
        return Value.of((varying == 0).all(1), self.double(xs[0].content.unsqueeze(0))[0])

    def _even(self, x: Value) -> Tensor:
        """Constant channels whose contribution is the same in every position, so that a bias can hold it."""
        flat = x.content.reshape(len(x.constant), -1)
        zero, uniform = (flat == 0).all(1), flat.amax(1) == flat.amin(1)
        conv = isinstance(self.module, nn.Conv2d)
        padded = conv and self.module.padding_mode == "zeros" and self.module.padding not in ((0, 0), "valid")
        return x.constant & (zero if padded else uniform)

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        used = (self.double.weight[kept].transpose(0, 1).flatten(1) != 0).any(1) & ~self._even(xs[0])
        if not bool(used.any()):
            used[0] = True  # a layer without inputs cannot be written down: one stays
        return (used,)

    def emit(self, build, kept, present, xs):
        here = present[0]
        absent = Value.of(xs[0].constant & ~here, xs[0].content)
        new = copy.deepcopy(self.module)
        device = self.module.weight.device
        rows, columns = kept.to(device), here.to(device)
        new.weight = part_of(self.module.weight, self.module.weight[rows][:, columns])
        moved = self._apply(absent.content)[kept]
        while moved.dim() > 1:
            moved = moved[..., 0]
        if self.module.bias is not None or bool((moved != 0).any()):
            bias = torch.zeros(len(kept), dtype=torch.float64) if self.double.bias is None else self.double.bias
            like = self.module.weight if self.module.bias is None else self.module.bias
            new.bias = part_of(like, (bias[kept] + moved).to(device, like.dtype))
        if isinstance(new, nn.Linear):
            new.in_features, new.out_features = int(here.sum()), int(kept.sum())
        else:
            new.in_channels, new.out_channels = int(here.sum()), int(kept.sum())
        return build.module(self.node.target, new, build.made[self.inputs[0]])


def part_of(whole: Tensor, part: Tensor) -> nn.Parameter:
    return nn.Parameter(part.detach().clone(), requires_grad=whole.requires_grad)


@dataclass(frozen=True, eq=False)
class Channelwise(Rule):
    """Acts on every channel alone: `run` (1, c, ...) -> (1, c, ...), in float64. `again` writes it down."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    run: Callable[[Tensor], Tensor]
    again: Callable[[Rebuild, Tensor, fx.Node], fx.Node]
    blind: Tensor | None = None
    """(c,): channels whose output does not depend on the input (a factor of 0)."""

    def constants(self, *xs: Value) -> Value:
        constant = xs[0].constant if self.blind is None else xs[0].constant | self.blind
        return Value.of(constant, self.run(xs[0].content.unsqueeze(0))[0])

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return (kept,)

    def yields(self, kept, present, xs):
        return present[0]

    def emit(self, build, kept, present, xs):
        return self.again(build, kept, build.made[self.inputs[0]])


@dataclass(frozen=True, eq=False)
class Sum(Rule):
    """x + y or x - y. A side that is constant in all channels that are kept becomes a constant; otherwise both sides
    keep the union of their channels."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    sign: int
    dtype: torch.dtype

    def constants(self, *xs: Value) -> Value:
        return Value.of(xs[0].constant & xs[1].constant, xs[0].content + self.sign * xs[1].content)

    def _live(self, kept: Tensor, xs: tuple[Value, ...]) -> tuple[bool, bool]:
        left, right = (not bool(x.constant[kept].all()) for x in xs)
        return (left or not right, right)

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return tuple(kept if live else torch.zeros_like(kept) for live in self._live(kept, xs))

    def emit(self, build, kept, present, xs):
        left, right = self._live(kept, xs)
        parts: list[fx.Node | None] = []
        for live, node, x in zip((left, right), self.inputs, xs, strict=True):
            if live:
                parts.append(build.made[node])
            elif bool((x.content[kept] == 0).all()):
                parts.append(None)
            else:
                parts.append(build.tensor(f"{self.node.name}_constant", x.content[kept].to(self.dtype)))
        if parts[1] is None:
            return parts[0]
        if parts[0] is None:
            return parts[1] if self.sign > 0 else build.code.call_function(torch.neg, (parts[1],))
        return build.code.call_function(_WRITTEN[self.sign], tuple(parts))

    def yields(self, kept, present, xs):
        return functools.reduce(operator.or_, (mask for mask, live in zip(present, self._live(kept, xs), strict=True)
                                               if live))


@dataclass(frozen=True, eq=False)
class Join(Rule):
    """Concatenation along the channels."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]

    def constants(self, *xs: Value) -> Value:
        return Value(torch.cat([x.constant for x in xs]), torch.cat([x.content for x in xs]))

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return kept.split([len(x.constant) for x in xs])

    def yields(self, kept, present, xs):
        return torch.cat(present)

    def emit(self, build, kept, present, xs):
        parts = [build.made[x] for x, mask in zip(self.inputs, present, strict=True) if bool(mask.any())]
        return parts[0] if len(parts) == 1 else build.code.call_function(torch.cat, (parts, 1))


@dataclass(frozen=True, eq=False)
class Flat(Rule):
    """(n, c, ...) -> (n, c s): channel k becomes the block of features k s ... (k + 1) s - 1."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    block: int
    module: nn.Module | None

    def constants(self, *xs: Value) -> Value:
        return Value(xs[0].constant.repeat_interleave(self.block), xs[0].content.flatten())

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return (kept.reshape(-1, self.block).any(1),)

    def yields(self, kept, present, xs):
        return present[0].repeat_interleave(self.block)

    def emit(self, build, kept, present, xs):
        x = build.made[self.inputs[0]]
        if self.module is not None:
            return build.module(self.node.target, copy.deepcopy(self.module), x)
        return build.code.call_function(torch.flatten, (x, 1))


@dataclass(frozen=True, eq=False)
class Whole(Rule):
    """Moves entries between channels: all channels stay on both sides."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]
    shape: tuple[int, ...]
    again: Callable[[Rebuild, Tensor, fx.Node], fx.Node]

    def constants(self, *xs: Value) -> Value:
        return Value(torch.zeros(self.shape[0], dtype=torch.bool), torch.zeros(self.shape, dtype=torch.float64))

    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        return (torch.ones_like(xs[0].constant),)

    def yields(self, kept, present, xs):
        return torch.ones(self.shape[0], dtype=torch.bool)

    def emit(self, build, kept, present, xs):
        return self.again(build, kept, build.made[self.inputs[0]])
