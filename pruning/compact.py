"""Structured export: the same function as a network whose channels were set to zero, computed by a smaller one.

Channels (neurons) whose value cannot depend on the input, and those that nothing reads, are cut out of every layer:
rows and columns of weights, entries of batch normalisations, blocks of features behind a flatten. The result equals
the masked network up to rounding, for every input; names of layers and parameters stay.

- A removed channel's constant is 0, or goes into the bias of the layer that reads it. Next to zero padding a constant
  that is not 0 reaches border pixels less often, which no bias can say: there the channel stays.
- Both sides of a residual sum keep the union of their channels; a side that is constant becomes a constant.
- A layer never becomes empty: one channel stays where something still reads the layer; otherwise the layer goes.

Zeros inside rows and columns that are otherwise used (unstructured pruning) do not make a network smaller.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from pruning.channels import analyse, rebuilt, trace
from pruning.layers import layers
from pruning.operations import rules_of
from verify.errors import InvalidInput, ShapeMismatch

POINTS = 64


def compact(module: nn.Module, input_shape: tuple[int, ...], removed: Mapping[str, Tensor] | None = None
            ) -> fx.GraphModule:
    """The smaller network. `input_shape` without the batch axis.

    `removed`: layer name (`nn.Conv2d` or `nn.Linear`) -> bool (channels,), True for those to remove, as in `masked`.
    Whatever else is zero in the network is made use of as well; with `removed=None`, only that. The module is left as
    it was; batch normalisations are meant as in eval mode. Raises `UnsupportedOperator` naming the layer around which
    channels cannot be removed, `InvalidInput` for unknown layers or masks that do not fit.
    """
    traced = trace(masked(module, removed) if removed else module)
    small = rebuilt(analyse(traced, rules_of(traced, input_shape), {}))
    small.meta["input_shape"] = tuple(input_shape)
    return small


@torch.no_grad()
def masked(module: nn.Module, removed: Mapping[str, Tensor]) -> nn.Module:
    """A copy with these channels of these layers switched off: weight row and bias zero, and scale and shift of the
    batch normalisation that reads the layer, so that they are 0 behind it."""
    new = copy.deepcopy(module)
    known = {layer.name: layer for layer in layers(new)}
    for name, gone in removed.items():
        if name not in known:
            raise InvalidInput(f"there is no convolution or linear layer {name!r}; there are {', '.join(known)}")
        layer = known[name]
        if gone.dtype != torch.bool or tuple(gone.shape) != (layer.channels,):
            raise ShapeMismatch(f"layer {name!r} needs {layer.channels} booleans, got {gone.dtype} of shape "
                                f"{tuple(gone.shape)}")
        if layer.norm is not None and (not layer.lone_norm or new.get_submodule(layer.norm).weight is None):
            raise InvalidInput(f"channels of {name!r} cannot be switched off: batch normalisation {layer.norm!r} has "
                               "no scale and shift, or is not its only reader")
        for parameter in (layer.weight, *layer.along()):
            value = new.get_parameter(parameter)
            value[gone.to(value.device)] = 0
    return new


@dataclass(frozen=True)
class LayerSize:
    """Channels (neurons) that a layer computes, before and after; 0 when it is gone."""

    name: str
    before: int
    after: int


@dataclass(frozen=True)
class Comparison:
    """Two networks of the same function: sizes, and the largest difference of their outputs in float64 and as they are,
    on `POINTS` random inputs."""

    layers: tuple[LayerSize, ...]
    parameters: tuple[int, int]
    difference: float
    own_difference: float

    @property
    def remaining(self) -> float:
        """Share of the parameters that is left."""
        return self.parameters[1] / max(1, self.parameters[0])


@torch.no_grad()
def compared(before: nn.Module, after: nn.Module, input_shape: tuple[int, ...], seed: int = 0) -> Comparison:
    """Sizes of both networks and how far their outputs differ, in eval mode, on uniform and normal random inputs."""
    sizes = {layer.name: [layer.channels, 0] for layer in layers(before)}
    for layer in layers(after):
        sizes.setdefault(layer.name, [0, 0])[1] = layer.channels
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(POINTS, *input_shape, generator=generator, dtype=torch.float64)
    x[POINTS // 2 :] = torch.randn(POINTS - POINTS // 2, *input_shape, generator=generator, dtype=torch.float64)
    own = next((p for p in before.parameters()), x)
    double = [copy.deepcopy(module).double().cpu().eval()(x) for module in (before, after)]
    single = [copy.deepcopy(module).eval()(x.to(own.device, own.dtype)) for module in (before, after)]
    return Comparison(
        tuple(LayerSize(name, *pair) for name, pair in sizes.items()),
        tuple(sum(p.numel() for p in module.parameters()) for module in (before, after)),
        _distance(*double), _distance(*single))


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())
