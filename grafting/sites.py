"""Where the ReLUs of a model are: names, shapes, and what stands in front of them.

A site is one application of ReLU. Its name is the qualified name of the module where that is called once, else the name
of the node in the `torch.fx` trace (functional `relu`, a module shared by several places). `GraftedReLU` is a site like
any other: it may be grafted further. Shapes are those of one image, (c, h, w) or (i,).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from grafting.activation import GraftedReLU
from verify.errors import InvalidInput, UnsupportedOperator

BATCH = 256


@dataclass(frozen=True)
class Site:
    """One ReLU: its name, its node in the trace, the shape of its value for one image, and whether the module at `name`
    stands for it alone (then the module can be exchanged)."""

    name: str
    node: str
    shape: tuple[int, ...]
    own_module: bool


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, GraftedReLU) or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """The model as a graph that shares its parameters. Raises `UnsupportedOperator` where the control flow depends on
    values."""
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except (fx.proxy.TraceError, TypeError, NameError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnsupportedOperator(f"{type(model).__name__} cannot be traced: {reason}; a model whose control "
                                  "flow does not depend on values would be accepted") from error


def is_relu(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    """True for every spelling of ReLU, and for grafted ones."""
    if node.op == "call_module":
        return isinstance(modules[node.target], (nn.ReLU, GraftedReLU))
    if node.op == "call_function":
        return node.target in (F.relu, F.relu_, torch.relu, torch.relu_)
    return node.op == "call_method" and node.target in ("relu", "relu_")


class _Walk(fx.Interpreter):
    """Runs a trace and shows the pre-activations of chosen nodes."""

    def __init__(self, traced: fx.GraphModule, see: Callable[[str, Tensor], None], relus: frozenset[str]):
        super().__init__(traced)
        self.see, self.relus = see, relus

    def run_node(self, n: fx.Node):
        if n.name in self.relus:
            (z, *_), _ = self.fetch_args_kwargs_from_env(n)
            self.see(n.name, z)
        return super().run_node(n)


def relu_sites(model: nn.Module, input_shape: tuple[int, ...]) -> dict[str, Site]:
    """The sites of the model in order of execution, by name. Raises `InvalidInput` when there are none."""
    traced = trace(model)
    modules = dict(traced.named_modules())
    nodes = [node for node in traced.graph.nodes if is_relu(node, modules)]
    if not nodes:
        raise InvalidInput("the network has no ReLU, so there is nothing to graft")
    calls = Counter(id(modules[node.target]) for node in traced.graph.nodes if node.op == "call_module")
    shapes = _shapes(traced, input_shape, frozenset(node.name for node in nodes))
    found: dict[str, Site] = {}
    for node in nodes:
        own = node.op == "call_module" and calls[id(modules[node.target])] == 1
        name = str(node.target) if own else node.name
        if name in found:
            raise InvalidInput(f"two ReLUs of the network are called {name!r}")
        found[name] = Site(name, node.name, shapes[node.name], own)
    return found


def _shapes(traced: fx.GraphModule, input_shape: tuple[int, ...], relus: frozenset[str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    like = _like(traced)
    with evaluating(traced), torch.no_grad():
        _Walk(traced, lambda name, z: found.__setitem__(name, tuple(z.shape[1:])), relus).run(
            torch.zeros(1, *input_shape, dtype=like.dtype, device=like.device))
    return found


def observe(model: nn.Module, sites: Mapping[str, Site], x: Tensor, see: Callable[[str, Tensor], None],
            batch: int = BATCH) -> None:
    """Runs x (n, *input shape) through the model in eval mode and calls `see(site name, z)` with the pre-activations
    (b, *site shape) of every batch, without gradients."""
    traced = trace(model)
    names = {site.node: name for name, site in sites.items()}
    like = _like(traced)
    with evaluating(traced), torch.no_grad():
        walk = _Walk(traced, lambda node, z: see(names[node], z), frozenset(names))
        for part in x.split(batch):
            walk.run(part.to(like))


def _like(model: nn.Module) -> Tensor:
    """A tensor of the dtype and on the device of the model."""
    return next((p for p in model.parameters() if p.is_floating_point()), torch.zeros(()))


class evaluating:
    """Context: the model in eval mode, every part as it was afterwards."""

    def __init__(self, model: nn.Module):
        self.flags = {part: part.training for part in model.modules()}
        self.model = model

    def __enter__(self) -> nn.Module:
        return self.model.eval()

    def __exit__(self, *_: object) -> None:
        for part, flag in self.flags.items():
            part.training = flag


def exchanged(model: nn.Module, new: Mapping[str, nn.Module], sites: Mapping[str, Site]) -> nn.Module:
    """A copy of the model in which the sites named in `new` are these modules, under the same names.

    The class stays where each of them is a module of its own. Otherwise the copy is a `torch.fx.GraphModule` in which
    every site is one.
    """
    if all(sites[name].own_module for name in new):
        result = copy.deepcopy(model)
        for name, module in new.items():
            _set(result, name, module)
        return result
    traced = separated(copy.deepcopy(model), sites)
    for name, module in new.items():
        _set(traced, name, module)
    return traced


def separated(model: nn.Module, sites: Mapping[str, Site]) -> fx.GraphModule:
    """The model traced, every site a ReLU module of its own under the site's name."""
    traced = trace(model)
    nodes = {node.name: node for node in traced.graph.nodes}
    calls = {}
    for name, site in sites.items():
        if not site.own_module:
            node = nodes[site.node]
            with traced.graph.inserting_before(node):
                calls[name] = traced.graph.call_module("", (node.args[0] if node.args else node.kwargs["input"],))
            node.replace_all_uses_with(calls[name])
            traced.graph.erase_node(node)
    traced.delete_all_unused_submodules()  # shared ones, whose name their first call takes over
    for name, call in calls.items():
        if hasattr(traced, name):
            raise UnsupportedOperator(f"the ReLU {name!r} has the name of another part of the network")
        traced.add_submodule(name, nn.ReLU())
        call.target = name
    traced.graph.lint()
    traced.recompile()
    return traced


def _set(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def grafted(model: nn.Module) -> Iterator[tuple[str, GraftedReLU]]:
    """The grafted activations of a model by qualified name."""
    return ((name, module) for name, module in model.named_modules() if isinstance(module, GraftedReLU))


class _Gradients(fx.Interpreter):
    """Runs a trace with gradients and keeps the values of chosen nodes."""

    def __init__(self, traced: fx.GraphModule, relus: frozenset[str]):
        super().__init__(traced)
        self.relus, self.kept = relus, {}

    def run_node(self, n: fx.Node):
        value = super().run_node(n)
        if n.name in self.relus:
            value = value if value.requires_grad else value.detach().requires_grad_()
            value.retain_grad()
            self.kept[n.name] = value
        return value


def activation_gradients(model: nn.Module, sites: Mapping[str, Site], x: Tensor,
                         loss: Callable[[Tensor, int], Tensor], batch: int = BATCH) -> dict[str, Tensor]:
    """Mean over x (n, *input shape) of |d loss / d activation|, (*site shape) float64 on the CPU, in eval mode.

    `loss(outputs (b, k), index of the first)` is summed over images. Parameters keep the gradients that they had."""
    traced, names = trace(model), {site.node: name for name, site in sites.items()}
    sums = {name: torch.zeros(site.shape, dtype=torch.float64) for name, site in sites.items()}
    like = _like(traced)
    with evaluating(traced), torch.enable_grad():
        for start in range(0, len(x), batch):
            walk = _Gradients(traced, frozenset(names))
            total = loss(walk.run(x[start : start + batch].to(like)), start)
            values = list(walk.kept.values())
            found = torch.autograd.grad(total, values, allow_unused=True)
            for node, gradient in zip(walk.kept, found, strict=True):
                if gradient is not None:
                    sums[names[node]] += gradient.abs().double().sum(0).cpu()
    return {name: total / max(len(x), 1) for name, total in sums.items()}
