"""Removal that provably changes nothing on a stated input domain.

Rigorous bounds of all pre-activations over the domain (a box) say which neurons are always inactive, u <= 0, and which
are always active, l >= 0. Inactive ones are the constant 0 and are cut out (`pruning.channels`), together with whatever
is constant or not read. Where every neuron that is left of a layer is active, its ReLU is the identity and goes, and
linear layers that then meet are multiplied out; batch normalisations are folded.

Sound: on the box the new network equals the old one over the reals; what is computed differs by rounding only. Outside
the box it may differ by anything: the box belongs to the network. A convolution's channel counts as one: it goes when
it is inactive in every position. Single active neurons among unstable ones stay as they are.

Over the whole image domain [0, 1] trained networks have hardly any such neurons: the use is after pruning, and on
narrow domains such as those of control networks.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx, nn

from pruning.channels import Channels, Rebuild, analyse, rebuilt, trace
from pruning.merge import linears_merged, normalisations_folded
from pruning.operations import rules_of
from verify.bounds.crown import crown_bounds
from verify.bounds.walk import Bounds, charges, forward
from verify.errors import BrokenInvariant, InvalidInput, ShapeMismatch
from verify.graph import Graph
from verify.live import LiveNetwork
from verify.relaxations import CROWN
from verify.sets import Interval

METHODS = ("crown", "ibp")
SAMPLES = 256
ROUNDING = 1e-4  # of the largest output: what rounding in the parameters' own type may at most explain


@dataclass(frozen=True)
class LayerReport:
    """Neurons before one ReLU: `inactive` + `active` + `unstable` = `neurons` (per position); `channels` of them and
    how many are `kept`; `linear` when the ReLU is gone because all that are kept are active."""

    relu: str
    neurons: int
    inactive: int
    active: int
    unstable: int
    channels: int
    kept: int
    linear: bool


@dataclass(frozen=True, eq=False)
class LosslessReport:
    """`found_anything`: whether a neuron, a ReLU or a layer is gone (folded batch normalisations do not count).
    `lower`, `upper`: the box that the equality is about. `margin`: the smallest distance from 0 among the bounds
    that were relied on (inf when none was). `difference`: largest on `SAMPLES` random points and corners of the box, in
    float64."""

    layers: tuple[LayerReport, ...]
    found_anything: bool
    merges: tuple[str, ...]
    parameters: tuple[int, int]
    lower: Tensor
    upper: Tensor
    method: str
    margin: float
    difference: float

    def text(self) -> str:
        """For people, several lines."""
        lines = [f"bounds: {self.method} with rounding in float64, domain [{float(self.lower.min()):g}, "
                 f"{float(self.upper.max()):g}], widths up to {float((self.upper - self.lower).max()):g}"]
        lines += [f"{layer.relu}: {layer.neurons} neurons, {layer.inactive} always inactive, {layer.active} always "
                  f"active, {layer.unstable} unstable; {layer.kept} of {layer.channels} channels kept"
                  + (", no ReLU needed" if layer.linear else "") for layer in self.layers]
        lines += [f"merged {merge}" for merge in self.merges]
        lines.append(f"parameters {self.parameters[0]} -> {self.parameters[1]}; largest difference on samples "
                     f"{self.difference:.2g}; smallest margin relied on {self.margin:.3g}")
        if not self.found_anything:
            lines.append("nothing can be removed: no neuron is stable over the whole domain (usual for networks that "
                         "were not pruned, over all images; a narrower domain may help)")
        return "\n".join(lines)


def lossless(module: nn.Module, input_shape: tuple[int, ...], box: Interval | tuple[Tensor, Tensor],
             method: str = "crown", fold: bool = True) -> tuple[fx.GraphModule, LosslessReport]:
    """The smaller network that equals `module` (in eval mode) on `box`, and what was proved.

    `box`: lower and upper ends of the stated input domain, as the network takes them, of shape `input_shape` (or
    anything that broadcasts to it). `method`: `crown`, or `ibp`, which is cheap and finds less. `fold`: whether batch
    normalisations go into the layers before them; False leaves them for further training. Outside the box the networks
    may differ. Raises `InvalidInput`, or `UnsupportedOperator` naming the layer that has no bounds.
    """
    if method not in METHODS:
        raise InvalidInput(f"unknown bound method {method!r}: one of {', '.join(METHODS)}")
    domain = _domain(box, tuple(input_shape))
    live = LiveNetwork(module, input_shape)
    bounds = _bounds(live.graph(detach=True, dtype=torch.float64), domain, method)
    traced = trace(module)
    sites = _sites(traced)
    pre = {sites[relu]: bounds[live.before(relu)] for relu in live.relus}
    proved = {node: _stable(interval) for node, interval in pre.items()}
    rules = rules_of(traced, input_shape)
    channels = analyse(traced, rules, {node.name: off for node, (off, _) in proved.items() if node in
                                       {rule.node for rule in rules}})
    linear = {node for node, (_, on) in proved.items()
              if node in channels.kept and bool(on[channels.kept[node]].all())}
    rules = tuple(replace(rule, again=_passed) if rule.node in linear else rule for rule in channels.rules)
    cut = rebuilt(replace(channels, rules=rules))
    small, folded = normalisations_folded(cut) if fold else (cut, ())
    small, products = linears_merged(small)
    small.meta.update(input_shape=tuple(input_shape), box=(domain.lower[0, 0], domain.upper[0, 0]))
    layers = tuple(_layer(relu, pre[sites[relu]], channels, sites[relu], sites[relu] in linear) for relu in live.relus)
    report = LosslessReport(
        layers, bool(linear or products) or _size(cut) < _size(module), folded + products,
        (_size(module), _size(small)), domain.lower[0, 0], domain.upper[0, 0], method,
        _margin(pre, proved, channels, linear), _difference(module, small, domain))
    return small, report


def _domain(box: Interval | tuple[Tensor, Tensor], shape: tuple[int, ...]) -> Interval:
    """The box as the graph takes it: (1, 1, *input shape) in float64."""
    ends = (box.lower, box.upper) if isinstance(box, Interval) else tuple(box)
    if len(ends) != 2:
        raise InvalidInput(f"a domain has a lower and an upper end, got {len(ends)} tensors")
    wide = []
    for end in ends:
        end = torch.as_tensor(end).detach().cpu().double()
        try:
            wide.append(torch.broadcast_to(end.reshape(end.shape[max(0, end.dim() - len(shape)):]), shape))
        except RuntimeError as error:
            raise ShapeMismatch(f"an end of the domain has shape {list(end.shape)}; the network takes {list(shape)}"
                                ) from error
    if not bool((torch.isfinite(wide[0]) & torch.isfinite(wide[1]) & (wide[0] <= wide[1])).all()):
        raise InvalidInput("the domain must be finite, with every lower end at most the upper end")
    return Interval(wide[0][None, None], wide[1][None, None])


def _bounds(graph: Graph, domain: Interval, method: str) -> Bounds:
    """Intervals of every value over the domain, rounding included."""
    graph = graph.to(device="cpu")
    with torch.no_grad():
        simple = forward(graph, domain)
        return simple if method == "ibp" else crown_bounds(graph, domain, CROWN, charges(graph, simple))


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _sites(traced: fx.GraphModule) -> dict[str, fx.Node]:
    """The names that `LiveNetwork` has for ReLUs: the module's where that is called once, else the node's."""
    calls = [node.target for node in traced.graph.nodes if node.op == "call_module"]
    named = {node.name: node for node in traced.graph.nodes}
    return named | {node.target: node for node in traced.graph.nodes
                    if node.op == "call_module" and calls.count(node.target) == 1}


def _stable(pre: Interval) -> tuple[Tensor, Tensor]:
    """Channels (c,) that are inactive, and active, in every position."""
    lower, upper = (end[0, 0].reshape(end.shape[2], -1) for end in (pre.lower, pre.upper))
    return (upper <= 0).all(1), (lower >= 0).all(1)


def _passed(build: Rebuild, kept: Tensor, x: fx.Node) -> fx.Node:
    return x


def _layer(relu: str, pre: Interval, channels: Channels, node: fx.Node, linear: bool) -> LayerReport:
    off, on = (pre.upper <= 0), (pre.lower >= 0)
    inactive, active = int(off.sum()), int((on & ~off).sum())
    kept = channels.kept.get(node)
    return LayerReport(relu, off.numel(), inactive, active, off.numel() - inactive - active, off.shape[2],
                       0 if kept is None else int(kept.sum()), linear)


def _margin(pre: dict[fx.Node, Interval], proved: dict[fx.Node, tuple[Tensor, Tensor]], channels: Channels,
            linear: set[fx.Node]) -> float:
    """How far the bounds that decided something are from 0."""
    margins = [torch.inf]
    for node, interval in pre.items():
        if node not in channels.kept:
            continue
        lower, upper = (end[0, 0].reshape(end.shape[2], -1) for end in (interval.lower, interval.upper))
        gone = proved[node][0] & ~channels.kept[node]
        margins += (-upper[gone]).flatten().tolist()
        if node in linear:
            margins += lower[channels.kept[node]].flatten().tolist()
    return min(margins)


def _points(domain: Interval) -> Tensor:
    """Random points of the box and random corners of it: (2 `SAMPLES`, *input shape)."""
    generator = torch.Generator().manual_seed(0)
    lower, upper = domain.lower[0, 0], domain.upper[0, 0]
    share = torch.rand(2 * SAMPLES, *lower.shape, generator=generator, dtype=torch.float64)
    share[SAMPLES:] = share[SAMPLES:].round()
    return lower + share * (upper - lower)


@torch.no_grad()
def _difference(before: nn.Module, after: nn.Module, domain: Interval) -> float:
    """Largest difference on points of the box; a claim that samples refute is a bug."""
    x = _points(domain)
    one, other = (copy.deepcopy(module).double().cpu().eval()(x) for module in (before, after))
    difference = float((one - other).abs().max())
    if not difference <= ROUNDING * (1 + float(one.abs().max())):
        raise BrokenInvariant(f"the smaller network is off by {difference:.3g} on a point of its domain")
    return difference

