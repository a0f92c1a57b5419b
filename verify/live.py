"""A torch module as a `Graph` around its *current* parameters: bounds that training can differentiate.

`LiveNetwork(module, input_shape)` traces the module once (torch.fx); `graph()` then costs a few microseconds per layer.
Bounds of that graph, by `verify.bounds`, have gradients with respect to the parameters of the module. Values carry the
batch axis of ONNX: a box for images x (n, c, h, w) has the ends `x.unsqueeze(1) -+ eps`, (n, 1, c, h, w).

Custom modules are traced through. What does not depend on the input (masks, slopes, re-parametrised weights) may be
computed in any way; it is evaluated anew, with gradients, for every graph. No claim about a trained network is made
here: those are about its exported file.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn

from verify.errors import InvalidInput, UnsupportedOperator
from verify.graph import Graph, Node
from verify.live_call import Call, Shape, Step, Values
from verify.live_ops import FUNCTIONS, IN_PLACE, METHODS, MODULES, Translator
from verify.ops import Affine, Conv, Input, Linear, Relu

Statistics = Mapping[str, tuple[Tensor, Tensor]]
"""Name of a batch normalisation -> mean and (biased) variance of its inputs, each (c,)."""
NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


class LiveNetwork:
    """`module` with inputs of `input_shape` (batch axis excluded), ready to become a `Graph` at any time.

    Layers may change their tensors (training, `load_state_dict`, `to`), not their shapes; layers must not be replaced.
    Raises `UnsupportedOperator` naming the layer that has no translation, `ShapeMismatch` where shapes do not fit.
    """

    def __init__(self, module: nn.Module, input_shape: tuple[int, ...]) -> None:
        self.module = module
        self.input_shape = tuple(input_shape)
        self._trace = _trace(module)
        translated = _translate(self._trace, module, (1, *self.input_shape), self._values(detach=True))
        self._input, self._constants, self.output = translated.input, translated.constants, translated.output
        self._static = translated.static
        self._steps = _needed(translated.steps, self.output)
        self.relus: tuple[str, ...] = tuple(name for name, step in self._steps.items() if step.kind is Relu)
        self._folded = _foldable(self._steps)
        feeding = {self._steps[name].inputs[0] for name in self.relus}
        self._plain = frozenset(name for name in feeding & set(self._steps)
                                if isinstance(self._steps[name].module, (nn.Linear, nn.Conv2d)))
        self._check()

    def _check(self) -> None:
        """A trace does not show what a module does behind its back, such as changing in place a value that has two
        names: both must agree on an input."""
        graph, modes = self.graph(detach=True), [(module, module.training) for module in self.module.modules()]
        x = torch.linspace(0, 1, math.prod(self.input_shape), device=graph.device, dtype=graph.dtype)
        x = x.reshape(1, *self.input_shape)
        try:
            with torch.no_grad():
                expected = self.module.eval()(x)
        finally:
            for module, mode in modes:
                module.training = mode
        found = graph.evaluate(x.unsqueeze(1)).squeeze(1)
        if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-3, equal_nan=True):
            raise UnsupportedOperator(f"{type(self.module).__name__} computes something else than its trace shows; it "
                                      "may change values in place or branch on them")

    @cached_property
    def traced(self) -> fx.GraphModule:
        """The trace as a module of its own, which shares the parameters."""
        return fx.GraphModule(self.module, self._trace)

    def graph(self, *, detach: bool = False, dtype: torch.dtype | None = None, statistics: Statistics | None = None,
              fold: bool = False, stop_scales: bool = False) -> Graph:
        """The graph of the parameters as they are now.

        detach: without gradients. dtype: of the tensors (default: the parameters' own). statistics: what batch
        normalisations use in place of their running statistics. fold: batch normalisations go into the layer in front
        of them, up to rounding: the layer's own node disappears, the normalisation's stays. stop_scales: no gradients
        to the weights of batch normalisations, nor, where a Linear or Conv2d layer feeds a ReLU without one, to the
        norms of its rows (see `scale`).
        """
        values = self._values(detach, dtype, statistics, stop_scales)
        with torch.no_grad() if detach else nullcontext():
            values.evaluate(self._constants, self._static)
            nodes = [Node(self._input, Input((1, *self.input_shape)), (), (1, *self.input_shape))]
            for name, step in self._steps.items():
                if fold and name in self._folded.values():
                    continue
                layer = self._folded.get(name) if fold else None
                if layer is None:
                    op = step.make(values)
                    op = _without_norm(op) if stop_scales and name in self._plain else op
                    nodes.append(Node(name, op, step.inputs, step.shape))
                else:
                    front = self._steps[layer]
                    nodes.append(Node(name, _merged(front.make(values), step.make(values)), front.inputs, step.shape))
        return Graph(tuple(nodes), self.output, values.device, values.dtype)

    def _values(self, detach: bool = False, dtype: torch.dtype | None = None, statistics: Statistics | None = None,
                stop_scales: bool = False) -> Values:
        like = next((t for t in (*self.module.parameters(), *self.module.buffers()) if t.is_floating_point()), None)
        own = (torch.device("cpu"), torch.float32) if like is None else (like.device, like.dtype)
        return Values(self.module, own[0], dtype or own[1], detach, statistics or {}, stop_scales)

    def feeder(self, relu: str) -> tuple[str, nn.Module] | None:
        """Name and module of the layer that feeds this ReLU directly; None where that is not one layer's module."""
        name = self._step(relu).inputs[0]
        step = self._steps.get(name)
        return None if step is None or step.module is None else (step.target, step.module)

    def batch_norm(self, relu: str) -> nn.Module | None:
        """The batch normalisation that feeds this ReLU directly."""
        found = self.feeder(relu)
        return found[1] if found is not None and isinstance(found[1], NORMALISATIONS) else None

    def scale(self, relu: str) -> Tensor | None:
        """The scale of each channel of what this ReLU reads, (c,), detached: the weight of the batch normalisation that
        feeds it, else the norms of the rows of the layer that does; None where neither is one layer's."""
        layer = (self.feeder(relu) or ("", None))[1]
        if isinstance(layer, NORMALISATIONS):
            return None if layer.weight is None else layer.weight.detach().abs()
        return row_norms(layer.weight.detach()) if isinstance(layer, (nn.Linear, nn.Conv2d)) else None

    def before(self, relu: str) -> str:
        """Name of the value that this ReLU reads: its bounds are the pre-activation bounds."""
        return self._step(relu).inputs[0]

    def _step(self, relu: str) -> Step:
        if relu not in self.relus:
            raise InvalidInput(f"there is no ReLU {relu!r}; the network has {', '.join(self.relus) or 'none'}")
        return self._steps[relu]

    def statistics(self, x: Tensor) -> tuple[Tensor, Statistics]:
        """The module's output at x (n, *input shape), and the batch statistics of its batch normalisations in training
        mode on the way, with gradients. (Running statistics move as in any forward pass.)"""
        found: dict[str, tuple[Tensor, Tensor]] = {}

        def observe(name: str) -> Callable:
            def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                if module.training or module.running_mean is None:
                    values = inputs[0].float() if inputs[0].dtype in (torch.float16, torch.bfloat16) else inputs[0]
                    variance, mean = torch.var_mean(values, [0, *range(2, values.dim())], correction=0)
                    found[name] = (mean, variance)
            return hook

        hooks = [module.register_forward_pre_hook(observe(name)) for name, module in self.module.named_modules()
                 if isinstance(module, NORMALISATIONS)]
        try:
            return self.module(x), found
        finally:
            for hook in hooks:
                hook.remove()


def _trace(module: nn.Module) -> fx.Graph:
    try:
        return fx.Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError) as error:
        raise UnsupportedOperator(f"{type(module).__name__} cannot be traced: {' '.join(str(error).split())}; networks "
                                  "with control flow or several inputs have no graph") from error


@dataclass
class _Translated:
    """What `_translate` found. `constants`: nodes to evaluate for every graph; `static`: known once, for all."""

    input: str = ""
    output: str = ""
    steps: dict[str, Step] = field(default_factory=dict)
    constants: list[fx.Node] = field(default_factory=list)
    static: dict[fx.Node, Any] = field(default_factory=dict)


def _translate(trace: fx.Graph, module: nn.Module, shape: Shape, values: Values) -> _Translated:
    """Steps for the trace of `module` with one input of `shape` (batch axis included). `values`: of the moment."""
    found, names, shapes = _Translated(), {}, {}
    calls = [node.target for node in trace.nodes if node.op == "call_module"]
    for node in trace.nodes:
        if node.op == "placeholder":
            if found.input:
                raise UnsupportedOperator(f"{type(module).__name__} takes several inputs ({node.name!r}); one is read")
            found.input, names[node], shapes[node.name] = node.name, node.name, shape
        elif node.op == "output":
            if not isinstance(node.args[0], fx.Node) or node.args[0] not in names:
                raise UnsupportedOperator(f"{type(module).__name__} must return one tensor that depends on its input")
            found.output = names[node.args[0]]
        elif _is_shape(node, names):
            found.static[node] = values.env[node] = _shape_of(node, shapes[names[node.args[0]]])
        elif not any(arg in names for arg in node.all_input_nodes):
            values.evaluate([node], {})
            found.constants.append(node)
        else:
            layer = module.get_submodule(node.target) if node.op == "call_module" else None
            _translate_call(Call(node, layer, names, shapes, values), calls.count(node.target) == 1, found)
    return found


def _translate_call(call: Call, once: bool, found: _Translated) -> None:
    """Adds the steps of one call, and its name and shape."""
    node = call.node
    made = _translator(call)(call)
    if made is None:  # the identity
        call.names[node] = call.names[node.args[0]]
        return
    inputs, make = made
    op = make(call.values)
    name = node.name
    if isinstance(op, Relu) and call.module is not None and once and node.target not in found.steps:
        name = node.target
    if name in call.shapes:
        raise call.refuse(f"its name {name!r} is that of another value; rename the layer")
    call.names[node], call.shapes[name] = name, op.output_shape(*(call.shapes[i] for i in inputs))
    if call.shapes[name][0] != 1:
        raise call.refuse(f"the result {list(call.shapes[name])} does not keep the batch axis in front")
    target = node.target if call.module is not None else None
    found.steps[name] = Step(make, inputs, call.shapes[name], type(op), call.module, target)


def _translator(call: Call) -> Translator:
    node = call.node
    if node.op == "call_module":
        found = next((MODULES[kind] for kind in type(call.module).__mro__ if kind in MODULES), None)
        table = ", ".join(kind.__name__ for kind in MODULES)
    else:
        found = (METHODS if node.op == "call_method" else FUNCTIONS).get(node.target)
        table = "sums, products with constants, relu, cat, flatten, reshape, linear, conv2d, average pooling"
    if found is None:
        raise call.refuse(f"has no bounds here; there are: {table}")
    inplace = node.kwargs.get("inplace", getattr(call.module, "inplace", False)) or node.target in IN_PLACE
    if inplace and len(node.args[0].users) > 1:
        raise call.refuse("changes in place a value that is read elsewhere; use the form that does not")
    return found


def _is_shape(node: fx.Node, names: Mapping[fx.Node, str]) -> bool:
    reads = bool(node.args) and node.args[0] in names
    return reads and ((node.op == "call_method" and node.target in ("size", "dim"))
                      or (node.target is getattr and node.args[1] in ("shape", "ndim")))


def _shape_of(node: fx.Node, shape: Shape) -> Any:
    if node.target == "dim" or (node.target is getattr and node.args[1] == "ndim"):
        return len(shape)
    position = node.args[1] if node.target == "size" and len(node.args) > 1 else node.kwargs.get("dim")
    return torch.Size(shape) if position is None else shape[position]


def _needed(steps: Mapping[str, Step], output: str) -> dict[str, Step]:
    """The steps that the output depends on."""
    found, stack = set(), [output]
    while stack:
        name = stack.pop()
        if name in steps and name not in found:
            found.add(name)
            stack.extend(steps[name].inputs)
    return {name: step for name, step in steps.items() if name in found}


def _foldable(steps: Mapping[str, Step]) -> dict[str, str]:
    """Batch normalisation -> the linear layer in front of it that nothing else reads."""
    readers = [name for step in steps.values() for name in step.inputs]
    return {name: step.inputs[0] for name, step in steps.items()
            if isinstance(step.module, NORMALISATIONS) and step.inputs[0] in steps
            and steps[step.inputs[0]].kind in (Linear, Conv) and readers.count(step.inputs[0]) == 1}


def row_norms(weight: Tensor) -> Tensor:
    """Euclidean norm of the weights of each output channel: (o,)."""
    return torch.linalg.vector_norm(weight.flatten(1), dim=1)


def _without_norm(layer: Linear | Conv) -> Linear | Conv:
    """The same values; gradients can turn the rows of the weight but not stretch them."""
    norms = row_norms(layer.weight)
    factor = norms.detach() / norms.clamp_min(torch.finfo(norms.dtype).tiny ** 0.5)
    return replace(layer, weight=layer.weight * factor.reshape(-1, *[1] * (layer.weight.dim() - 1)))


def _merged(layer: Linear | Conv, affine: Affine) -> Linear | Conv:
    scale, shift = affine.scale.flatten(), affine.shift.flatten()
    bias = shift if layer.bias is None else layer.bias * scale + shift
    return replace(layer, weight=layer.weight * scale.reshape(-1, *[1] * (layer.weight.dim() - 1)), bias=bias)
