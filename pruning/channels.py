"""Which channels of a network are constant, and which have to be computed: the analysis behind `pruning.compact`.

The network is a traced `torch.fx` graph; channels are axis 1 of a value (n, c, ...). Two facts per value:

- `Value`: the channels that are the same for every input, with that content, per position (zero padding makes the
  response to a constant uneven). Found in one pass from the input to the output, from weights that are exactly zero.
- `kept`: the channels that the smaller network computes. The least sets with: all outputs; what a kept channel reads
  (a constant that a bias can take over is not read); both sides of a sum the same channels. Found by sweeps in both
  directions until nothing is added.

What each operation says about channels is in `pruning.rules`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn

from verify.errors import InvalidInput, ShapeMismatch

ACCEPTED = (
    "Linear, Conv2d (groups=1), BatchNorm1d/2d, ReLU and other elementwise activations, Identity, Dropout, average and "
    "maximum pooling, zero padding, Flatten and reshapes, sums and differences, concatenation of channels, "
    "multiplication with and addition of what does not depend on the input"
)


@dataclass(frozen=True, eq=False)
class Value:
    """`constant` (c,): channels that do not depend on the input; `content` (c, ...) float64: what they are, 0 in the
    other channels."""

    constant: Tensor
    content: Tensor

    @staticmethod
    def of(constant: Tensor, content: Tensor) -> Value:
        """`content` may hold anything in channels that are not constant."""
        mask = constant.reshape(-1, *[1] * (content.dim() - 1))
        return Value(constant, torch.where(mask, content, torch.zeros_like(content)))

    def zeroed(self, channels: Tensor) -> Value:
        """The same where `channels` (c,) are known to be 0."""
        if channels.shape != self.constant.shape:
            raise ShapeMismatch(f"{tuple(channels.shape)} marks for {tuple(self.constant.shape)} channels")
        mask = channels.reshape(-1, *[1] * (self.content.dim() - 1))
        return Value(self.constant | channels, self.content.masked_fill(mask, 0))


@dataclass(frozen=True, eq=False)
class Rebuild:
    """The smaller network under construction: new graph, attributes by qualified name, old node -> new node."""

    code: fx.Graph
    attributes: dict[str, nn.Module | Tensor]
    made: dict[fx.Node, fx.Node]

    def module(self, target: str, module: nn.Module, *xs: fx.Node) -> fx.Node:
        self.attributes.setdefault(target, module)
        return self.code.call_module(target, xs)

    def tensor(self, name: str, value: Tensor) -> fx.Node:
        """A parameter or buffer of that name; another name where two readers need different parts of it."""
        while name in self.attributes and not _same(self.attributes[name], value):
            name += "_"
        self.attributes.setdefault(name, value)
        return self.code.get_attr(name)


def _same(one: nn.Module | Tensor, other: Tensor) -> bool:
    return isinstance(one, Tensor) and one.shape == other.shape and torch.equal(one, other)


class Rule(ABC):
    """What one operation says about channels; `inputs` are the nodes whose values depend on the network input."""

    node: fx.Node
    inputs: tuple[fx.Node, ...]

    @abstractmethod
    def constants(self, *xs: Value) -> Value:
        """The constant channels of the output."""

    @abstractmethod
    def reads(self, kept: Tensor, *xs: Value) -> tuple[Tensor, ...]:
        """Channels of each input that have to be there when channels `kept` (not none) of the output are computed."""

    def yields(self, kept: Tensor, present: tuple[Tensor, ...], xs: tuple[Value, ...]) -> Tensor:
        """Channels of the output that are computed when `kept` of it is wanted and `present` of the inputs is there."""
        return kept

    @abstractmethod
    def emit(self, build: Rebuild, kept: Tensor, present: tuple[Tensor, ...], xs: tuple[Value, ...]) -> fx.Node:
        """The operation on channels `present` of its inputs, giving the channels `kept`."""


@dataclass(frozen=True, eq=False)
class Channels:
    """The analysis of one network: rules in order, constants and kept channels by node."""

    traced: fx.GraphModule
    rules: tuple[Rule, ...]
    values: Mapping[fx.Node, Value] = field(default_factory=dict)
    kept: Mapping[fx.Node, Tensor] = field(default_factory=dict)


def trace(module: nn.Module) -> fx.GraphModule:
    """The module as an fx graph; parts that are no `torch.nn` layers are traced through. Raises `InvalidInput`."""
    try:
        return fx.symbolic_trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise InvalidInput(f"{type(module).__name__} cannot be traced (its forward branches on values): {error}; "
                           "networks whose forward runs the same operations on every input are accepted") from error


class _Recorder(fx.Interpreter):
    """Runs the graph and keeps the value of every node."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.extra_traceback = False
        self.found: dict[fx.Node, object] = {}

    def run_node(self, n: fx.Node) -> object:
        self.found[n] = super().run_node(n)
        return self.found[n]


def recorded(traced: fx.GraphModule, input_shape: tuple[int, ...]) -> tuple[nn.Module, dict[fx.Node, object]]:
    """A float64 copy in eval mode, and what every node is for a zero input (1, *input_shape)."""
    double = copy.deepcopy(traced).double().eval().cpu()
    recorder = _Recorder(double)
    with torch.no_grad():
        try:
            recorder.run(torch.zeros(1, *input_shape, dtype=torch.float64))
        except RuntimeError as error:
            raise ShapeMismatch(f"the network does not take inputs of shape {list(input_shape)}: "
                                f"{str(error).splitlines()[0]}") from error
    own = {node.name: node for node in traced.graph.nodes}
    return double, {own[node.name]: value for node, value in recorder.found.items()}


def analyse(traced: fx.GraphModule, rules: tuple[Rule, ...], zero: Mapping[str, Tensor]) -> Channels:
    """Constants and kept channels. `zero`: node name -> channels (c,) that are taken to be 0 whatever the weights
    say (proved, or by decree)."""
    names = {rule.node.name for rule in rules}
    if unknown := sorted(set(zero) - names):
        raise InvalidInput(f"there is no value {unknown[0]!r} in the network; there are {', '.join(sorted(names))}")
    values: dict[fx.Node, Value] = {}
    with torch.no_grad():
        for rule in rules:
            value = rule.constants(*(values[x] for x in rule.inputs))
            values[rule.node] = value.zeroed(zero[rule.node.name]) if rule.node.name in zero else value
        return Channels(traced, rules, values, _kept(rules, values))


def _kept(rules: tuple[Rule, ...], values: Mapping[fx.Node, Value]) -> dict[fx.Node, Tensor]:
    kept = {node: torch.zeros_like(value.constant) for node, value in values.items()}
    # The first value is the network input, the last one the output: nothing of them can go.
    for rule in (rules[0], rules[-1]):
        kept[rule.node] = torch.ones_like(kept[rule.node])
    while True:
        before = sum(int(mask.sum()) for mask in kept.values())
        for rule in reversed(rules):
            if bool(kept[rule.node].any()):
                needed = rule.reads(kept[rule.node], *(values[x] for x in rule.inputs))
                for x, mask in zip(rule.inputs, needed, strict=True):
                    kept[x] = kept[x] | mask
        for rule in rules:
            if bool(kept[rule.node].any()):
                present, xs = tuple(kept[x] for x in rule.inputs), tuple(values[x] for x in rule.inputs)
                kept[rule.node] = kept[rule.node] | rule.yields(kept[rule.node], present, xs)
        if sum(int(mask.sum()) for mask in kept.values()) == before:
            return kept


def rebuilt(channels: Channels) -> fx.GraphModule:
    """The network that computes the kept channels alone. Names of layers and parameters stay."""
    build = Rebuild(fx.Graph(), {}, {})
    with torch.no_grad():
        for rule in channels.rules:
            kept = channels.kept[rule.node]
            if bool(kept.any()):
                present = tuple(channels.kept[x] for x in rule.inputs)
                xs = tuple(channels.values[x] for x in rule.inputs)
                build.made[rule.node] = rule.emit(build, kept, present, xs)
    build.code.output(build.made[channels.rules[-1].node])
    module = fx.GraphModule(build.attributes, build.code, "CompactNetwork")
    module.train(channels.traced.training)
    return module
