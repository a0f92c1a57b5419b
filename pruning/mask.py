"""Masks: which weights, or which channels, of a network are kept.

A mask holds a boolean tensor per parameter name, never by position, and compares shapes on every use. It only ever
shrinks: what was pruned cannot come back (`BrokenInvariant`). A channel's mask also covers its bias and the scale and
shift of its batch normalisation (`pruning.layers`), so that a pruned channel is exactly 0 behind its ReLU.

Two ratios are reported, for they differ much: what remains of the pruned tensors (the papers' "remain ratio") and of
all parameters of the network. For the 7-layer network of Li et al. 2022, 3 % of the former is 33 % of the latter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from pruning.layers import Scope, parameter, prunable
from verify.errors import BrokenInvariant, InvalidInput, ShapeMismatch

KINDS = ("weight", "channel")


@dataclass(frozen=True, eq=False)
class Mask:
    """`keep`: name of a pruned tensor -> bool, its shape. `kind`: what one decision removes, a weight or a channel.
    `along`, for channels: name of the weight -> names of the parameters that have one entry per channel of it."""

    kind: str
    keep: Mapping[str, Tensor]
    along: Mapping[str, tuple[str, ...]]

    @staticmethod
    def ones(model: nn.Module, scope: Scope | None = None, structured: bool = False) -> Mask:
        """Keeps everything: the mask of the dense network, over the tensors of `scope`. On the CPU."""
        found = prunable(model, scope or Scope(), structured)
        keep = {layer.weight: torch.ones(parameter(model, layer.weight).shape, dtype=torch.bool) for layer in found}
        along = {layer.weight: layer.along() for layer in found} if structured else {}
        return Mask("channel" if structured else "weight", MappingProxyType(keep), MappingProxyType(along))

    def units(self) -> dict[str, Tensor]:
        """What decisions are taken on: name of the weight -> bool, its shape, or (c,) for channels."""
        if self.kind == "weight":
            return dict(self.keep)
        return {name: keep.flatten(1).any(1) for name, keep in self.keep.items()}

    def all(self) -> dict[str, Tensor]:
        """Every masked parameter, biases and normalisations of channels included: name -> bool, its shape."""
        units = self.units()
        return dict(self.keep) | {name: units[weight] for weight, names in self.along.items() for name in names}

    def gate(self, weight: str) -> tuple[str, ...]:
        """For channels: the parameters whose common factor is a factor of the channel before its ReLU (scale and shift
        of its normalisation, or else weight and bias)."""
        names = self.along[weight]
        return names[-2:] if len(names) > 1 else (weight, *names)

    def narrowed(self, units: Mapping[str, Tensor]) -> Mask:
        """The mask that keeps `units` (of the form of `units()`) instead; they must be among those kept now."""
        for name, before in self.units().items():
            after = units[name]
            if after.shape != before.shape:
                raise ShapeMismatch(f"mask of {name!r} has shape {tuple(after.shape)}, expected {tuple(before.shape)}")
            if bool((after & ~before).any()):
                raise BrokenInvariant(f"{int((after & ~before).sum())} pruned entries of {name!r} would come back")
        keep = {name: old & units[name].reshape(-1, *[1] * (old.dim() - 1)) if self.kind == "channel"
                else units[name].clone() for name, old in self.keep.items()}
        return Mask(self.kind, MappingProxyType(keep), self.along)

    def check(self, model: nn.Module) -> None:
        """Raises `InvalidInput` (`ShapeMismatch`) unless every masked parameter exists in that shape."""
        for name, keep in self.all().items():
            shape = tuple(parameter(model, name).shape)
            if tuple(keep.shape) != shape:
                raise ShapeMismatch(f"mask of {name!r} has shape {tuple(keep.shape)}, but the parameter has {shape}")

    @torch.no_grad()
    def apply(self, model: nn.Module) -> None:
        """Sets what is pruned to zero, in place. To be called after every optimiser step."""
        self.check(model)
        for name, keep in self.all().items():
            value = parameter(model, name)
            # Not a product: 0 times an overflowed weight would be NaN.
            value.masked_fill_(~keep.to(value.device), 0)

    def to(self, device: torch.device) -> Mask:
        """The mask on another device."""
        keep = {name: value.to(device) for name, value in self.keep.items()}
        return Mask(self.kind, MappingProxyType(keep), self.along)

    @property
    def total(self) -> int:
        """How many entries the pruned tensors have."""
        return sum(keep.numel() for keep in self.keep.values())

    @property
    def kept(self) -> int:
        """How many of them are kept."""
        return sum(int(keep.sum()) for keep in self.keep.values())

    @property
    def remaining(self) -> float:
        """Share of the pruned tensors that is kept: of their weights, or of their channels."""
        units = self.units().values()
        return sum(int(unit.sum()) for unit in units) / sum(unit.numel() for unit in units)

    @property
    def sparsity(self) -> float:
        """1 - remaining."""
        return 1 - self.remaining

    def remaining_of(self, model: nn.Module) -> float:
        """Share of all parameters of the network that is not masked. (The columns that read a pruned channel are not
        masked: they go when the network is made smaller.)"""
        everything = sum(value.numel() for value in model.parameters())
        gone = sum(int((~keep).sum()) for keep in self.all().values())
        return (everything - gone) / everything

    def state(self) -> dict:
        """What `Mask.of_state` reads back: plain tensors, for `torch.save`."""
        return {"kind": self.kind, "keep": {name: keep.cpu() for name, keep in self.keep.items()},
                "along": dict(self.along)}

    @staticmethod
    def of_state(state: Mapping) -> Mask:
        """The inverse of `state`."""
        return Mask(state["kind"], MappingProxyType(dict(state["keep"])), MappingProxyType(dict(state["along"])))


def check_remaining(remaining: float) -> float:
    """A ratio of what remains, in (0, 1]: the share removed, 1 - remaining, is in [0, 1)."""
    if not 0 < remaining <= 1:
        raise InvalidInput(f"remaining ratio {remaining!r} is outside (0, 1]: it is the share that is kept; the "
                           "share removed then lies in [0, 1)")
    return float(remaining)


def tighten(mask: Mask, scores: Mapping[str, Tensor], remaining: float, *, per_layer: bool = False,
            may_empty: bool = False) -> Mask:
    """Keeps exactly round(remaining n) of the n units (weights, or channels) that the tensors had: the highest scores
    among those still kept; among equal scores the first.

    `scores`: of the shapes of `mask.units()`; comparable between tensors unless `per_layer`, which rounds in each.
    Unless `may_empty`, the best unit of every tensor stays: a layer without any cuts the network in two.
    Raises `InvalidInput` when the ratio asks for more than is left, or for fewer than one per tensor.
    """
    check_remaining(remaining)
    units = mask.units()
    _check_scores(units, scores)
    groups = [[name] for name in units] if per_layer else [list(units)]
    chosen: dict[str, Tensor] = {}
    for group in groups:
        chosen |= _best({name: units[name] for name in group}, scores, remaining, may_empty, per_layer)
    return mask.narrowed(chosen)


def _check_scores(units: Mapping[str, Tensor], scores: Mapping[str, Tensor]) -> None:
    if set(units) != set(scores):
        raise InvalidInput(f"scores are for {', '.join(sorted(scores))}, the mask is for {', '.join(sorted(units))}")
    for name, unit in units.items():
        if scores[name].shape != unit.shape:
            raise ShapeMismatch(f"scores of {name!r} have shape {tuple(scores[name].shape)}, expected "
                                f"{tuple(unit.shape)}")
        if not bool(torch.isfinite(scores[name][unit]).all()):
            raise InvalidInput(f"scores of {name!r} are not finite: has the training diverged?")


def _best(units: Mapping[str, Tensor], scores: Mapping[str, Tensor], remaining: float, may_empty: bool, least_one: bool
          ) -> dict[str, Tensor]:
    """The selection within one group of tensors that share a threshold."""
    alive = torch.cat([unit.flatten().cpu() for unit in units.values()])
    score = torch.cat([scores[name].detach().flatten().cpu().double() for name in units])
    wanted = round(remaining * alive.numel())
    if least_one and not may_empty:
        wanted = max(wanted, 1)
    if wanted > int(alive.sum()):
        raise InvalidInput(f"remaining ratio {remaining} asks for {wanted} of {alive.numel()}, but only "
                           f"{int(alive.sum())} are left: ratios must not grow along a schedule")
    # Whatever its score, what is gone ranks last and the best of each tensor first.
    rank = torch.zeros_like(score)
    rank[~alive] = -1
    if not may_empty:
        best = _best_of_each(units, score, alive)
        if wanted < best.numel():
            raise InvalidInput(f"remaining ratio {remaining} keeps {wanted} of {alive.numel()}, fewer than one in each "
                               f"of the {best.numel()} layers; ask for more")
        rank[best] = 1
    order = torch.argsort(score, descending=True, stable=True)
    order = order[torch.argsort(rank[order], descending=True, stable=True)]
    keep = torch.zeros_like(alive)
    keep[order[:wanted]] = True
    parts = keep.split([unit.numel() for unit in units.values()])
    return {name: part.reshape(unit.shape).to(unit.device) for (name, unit), part in
            zip(units.items(), parts, strict=True)}


def _best_of_each(units: Mapping[str, Tensor], score: Tensor, alive: Tensor) -> Tensor:
    """Flat index of the highest score still alive in every tensor that is not yet empty."""
    found, start = [], 0
    for unit in units.values():
        part = slice(start, start := start + unit.numel())
        if bool(alive[part].any()):
            values = score[part].masked_fill(~alive[part], -torch.inf)
            found.append(part.start + int(values.argmax()))
    return torch.tensor(found, dtype=torch.long)
