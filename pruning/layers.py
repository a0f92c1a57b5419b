"""Which layers of a network can be pruned, and what belongs to each of their channels.

A channel of a convolution (a neuron of a linear layer) is one row of its weight, with its bias and, where a batch
normalisation reads the layer, with that normalisation's scale and shift. With all of these zero the channel is 0
before and after its ReLU for every input: a zero row alone would leave the constant beta - gamma mean / deviation.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import fx, nn

from verify.errors import InvalidInput, UnsupportedOperator

SCOPES = ("conv", "all")
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_CHANNELWISE = (*_NORMS, nn.Dropout, nn.Dropout2d, nn.Identity)


@dataclass(frozen=True)
class Layer:
    """One use of a convolution or linear layer, in order of execution.

    `relu`: the first ReLU that reads channel c of this layer as its channel c (through batch normalisation and sums),
    by its module's name, or by its node's name where the module is used more than once or there is none.
    """

    name: str
    kind: str
    channels: int
    bias: bool
    norm: str | None
    relu: str | None
    uses: int
    lone_norm: bool

    @property
    def weight(self) -> str:
        """Name of the weight parameter."""
        return f"{self.name}.weight" if self.name else "weight"

    def along(self) -> tuple[str, ...]:
        """Names of the parameters with one entry per channel."""
        own = (self.weight.removesuffix("weight") + "bias",) if self.bias else ()
        return own if self.norm is None else (*own, f"{self.norm}.weight", f"{self.norm}.bias")


@dataclass(frozen=True)
class Scope:
    """The tensors that are pruned: `conv`, all convolution weights, or the hidden linear ones where there is no
    convolution (Li et al. 2022 prune convolutions only); or `all`, every weight but that of the last layer."""

    kind: str = "conv"
    exclude_first: bool = False
    exclude_last: bool = False

    def __post_init__(self) -> None:
        if self.kind not in SCOPES:
            raise InvalidInput(f"unknown scope {self.kind!r}: one of {', '.join(SCOPES)}")


def layers(model: nn.Module) -> tuple[Layer, ...]:
    """The convolutions and linear layers of a network, in order of execution.

    Raises `UnsupportedOperator` when the forward pass cannot be traced (control flow that depends on the input).
    """
    try:
        traced = model if isinstance(model, fx.GraphModule) else fx.symbolic_trace(model)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedOperator(f"{type(model).__name__} cannot be traced: {error}") from error
    modules = dict(traced.named_modules())
    uses = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    return tuple(_layer(node, modules, uses) for node in traced.graph.nodes
                 if node.op == "call_module" and isinstance(modules[node.target], (nn.Conv2d, nn.Linear)))


def _layer(node: fx.Node, modules: dict[str, nn.Module], uses: Counter) -> Layer:
    module = modules[node.target]
    readers = list(node.users)
    norms = [reader.target for reader in readers if isinstance(_module(reader, modules), _NORMS)]
    return Layer(
        name=node.target, kind="conv" if isinstance(module, nn.Conv2d) else "linear",
        channels=module.weight.shape[0], bias=module.bias is not None, norm=norms[0] if norms else None,
        relu=_relu(node, modules, uses), uses=uses[node.target], lone_norm=not norms or len(readers) == 1)


def _module(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    return modules[node.target] if node.op == "call_module" else None


def _relu(node: fx.Node, modules: dict[str, nn.Module], uses: Counter) -> str | None:
    """The first ReLU below `node` that is reached by operations that keep channels apart."""
    below = list(node.users)
    while below:
        reader = below.pop(0)
        module = _module(reader, modules)
        if isinstance(module, nn.ReLU):
            return reader.target if uses[reader.target] == 1 else reader.name
        name = reader.target if reader.op == "call_method" else getattr(reader.target, "__name__", "")
        if module is None and name in ("relu", "relu_"):
            return reader.name
        if isinstance(module, _CHANNELWISE) or (module is None and name in ("add", "iadd", "sub", "mul")):
            below += list(reader.users)
    return None


def prunable(model: nn.Module, scope: Scope, structured: bool) -> tuple[Layer, ...]:
    """The layers that `scope` names, each once. Refuses by name a layer whose channels cannot be switched off.

    With `structured` the last layer is never among them: its channels are the outputs.
    """
    found = layers(model)
    if not found:
        raise InvalidInput("nothing to prune: the network has no convolution or linear layer (torch.nn.Conv2d, Linear)")
    first, last = found[0].name, found[-1].name
    convolutional = scope.kind == "conv" and any(layer.kind == "conv" for layer in found)
    chosen = {layer.name: layer for layer in found
              if (layer.kind == "conv" if convolutional else layer.name != last)
              and not (scope.exclude_first and layer.name == first)}
    if structured:
        chosen.pop(last, None)
    if scope.exclude_last and chosen:
        chosen.popitem()
    if not chosen:
        raise InvalidInput(f"nothing to prune: no layer is left in scope {scope.kind!r}; the network has "
                           f"{', '.join(layer.name for layer in found)}")
    if structured:
        for layer in chosen.values():
            _check_removable(model, layer)
    return tuple(chosen.values())


def _check_removable(model: nn.Module, layer: Layer) -> None:
    reason = None
    if layer.uses > 1:
        reason = f"is used {layer.uses} times"
    elif not layer.lone_norm:
        reason = f"is read by batch normalisation {layer.norm!r} and by something else"
    elif layer.norm is not None and model.get_submodule(layer.norm).weight is None:
        reason = f"is read by batch normalisation {layer.norm!r}, which has no scale and shift to set to zero"
    if reason is not None:
        raise InvalidInput(f"channels of layer {layer.name!r} cannot be removed: it {reason}. Accepted: layers used "
                           "once whose normalisation, if any, is affine and their only reader; or prune weights")


def parameter(model: nn.Module, name: str) -> torch.nn.Parameter:
    """The parameter of that name. Raises `InvalidInput` naming it when there is none."""
    try:
        return model.get_parameter(name)
    except AttributeError as error:
        raise InvalidInput(f"the network has no parameter {name!r}") from error
