"""From a torch.fx trace to primitives: one translator per layer kind, function and method (`verify.live`).

A translator is called once, when a module is traced, with the shapes at hand; it returns the names of the values that
the operator reads, and how to make it from the parameters of the moment, or None for the identity. Everything that has
no translator is refused by name.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from verify.errors import InvalidInput
from verify.live_call import Call, Make, Shape, Values
from verify.ops import (
    Add,
    Affine,
    Concat,
    Conv,
    ConvTranspose,
    Gather,
    Linear,
    Op,
    Relu,
    Reshape,
    Sigmoid,
    Sum,
    Tanh,
    Transpose,
)

Translator = Callable[[Call], tuple[tuple[str, ...], Make] | None]


def _identity(call: Call) -> None:
    return None


def _relu(call: Call):
    return (call.names[call.node.args[0]],), lambda v: Relu()


def _sigmoid(call: Call):
    return (call.names[call.node.args[0]],), lambda v: Sigmoid()


def _tanh(call: Call):
    return (call.names[call.node.args[0]],), lambda v: Tanh()


def _linear_layer(call: Call):
    layer = call.module
    return (call.names[call.node.args[0]],), lambda v: Linear(
        v.tensor(layer.weight), None if layer.bias is None else v.tensor(layer.bias))


def _linear(call: Call):
    _, weight, *rest = call.node.args
    bias = rest[0] if rest else call.node.kwargs.get("bias")
    if call.depends(weight) or call.depends(bias):
        raise call.refuse("its weights depend on the input")
    return (call.names[call.node.args[0]],), lambda v: Linear(
        v.constant(weight), None if bias is None else v.constant(bias))


def _conv_layer(call: Call):
    layer = call.module
    if layer.padding_mode != "zeros":
        raise call.refuse(f"padding mode {layer.padding_mode!r} has no bounds here; use zeros")
    padding = _padding(call, layer.padding, layer.kernel_size, layer.dilation)
    return (call.names[call.node.args[0]],), lambda v: Conv(
        v.tensor(layer.weight), None if layer.bias is None else v.tensor(layer.bias), tuple(layer.stride), padding,
        tuple(layer.dilation), layer.groups)


def _deconv_layer(call: Call):
    layer = call.module
    return (call.names[call.node.args[0]],), lambda v: ConvTranspose(
        v.tensor(layer.weight), None if layer.bias is None else v.tensor(layer.bias), tuple(layer.stride),
        _pair(layer.padding), tuple(layer.dilation), layer.groups, output_padding=_pair(layer.output_padding))


def _conv(call: Call):
    node = call.node
    weight = node.args[1] if len(node.args) > 1 else node.kwargs["weight"]
    bias = node.args[2] if len(node.args) > 2 else node.kwargs.get("bias")
    if call.depends(weight) or call.depends(bias):
        raise call.refuse("its weights depend on the input")
    stride, dilation = _pair(call.arg(3, "stride", 1)), _pair(call.arg(5, "dilation", 1))
    groups = call.arg(6, "groups", 1)
    kernel = tuple(call.values.env[weight].shape[2:])
    padding = _padding(call, call.arg(4, "padding", 0), kernel, dilation)
    return (call.names[node.args[0]],), lambda v: Conv(
        v.constant(weight), None if bias is None else v.constant(bias), stride, padding, dilation, groups)


def _padding(call: Call, padding: Any, kernel: Shape, dilation: Shape) -> tuple[int, int]:
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(_pair(dilation), kernel, strict=True)]
        if any(t % 2 for t in total):
            raise call.refuse("padding 'same' of an even kernel is not symmetric; pad explicitly")
        return (total[0] // 2, total[1] // 2)
    return _pair(padding)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value) * (2 // len(value))


def _batch_norm(call: Call):
    layer, target, axes = call.module, call.node.target, len(call.given) - 2

    def make(values: Values) -> Op:
        mean, variance = values.statistics.get(target, (layer.running_mean, layer.running_var))
        if mean is None:
            raise InvalidInput(f"{call.what}: has no running statistics, and none of a batch were given")
        scale = torch.rsqrt(values.tensor(variance) + layer.eps)
        if layer.weight is not None:
            weight = values.tensor(layer.weight)
            scale = scale * (weight.detach() if values.stop_scales else weight)
        shift = -values.tensor(mean) * scale
        shift = shift if layer.bias is None else shift + values.tensor(layer.bias)
        return Affine(scale.reshape(-1, *[1] * axes), shift.reshape(-1, *[1] * axes))

    if call.given[1] != layer.num_features:
        raise call.refuse(f"normalises {layer.num_features} channels, the value has shape {list(call.given)}")
    return (call.names[call.node.args[0]],), make


def _flatten_layer(call: Call):
    return _moved(call, lambda x: x.flatten(call.module.start_dim, call.module.end_dim))


def _flatten(call: Call):
    return _moved(call, lambda x: x.flatten(call.arg(1, "start_dim", 0), call.arg(2, "end_dim", -1)))


def _unflatten_layer(call: Call):
    return _moved(call, call.module)


def _reshape(call: Call):
    sizes = call.arg(1, "shape")
    sizes = sizes if isinstance(sizes, (tuple, list)) else [call.arg(k, "") for k in range(1, len(call.node.args))]
    if not all(isinstance(size, int) for size in sizes):
        raise call.refuse(f"the new shape {list(sizes)} depends on the input's values")
    return _moved(call, lambda x: x.reshape(*sizes))


def _moved(call: Call, move: Callable[[Tensor], Tensor]):
    try:
        shape = tuple(move(torch.empty(call.given, device="meta")).shape)
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise call.refuse(f"does not fit a value of shape {list(call.given)} ({why})") from None
    return (call.names[call.node.args[0]],), lambda v: Reshape(shape)


def _permute(call: Call):
    order = call.arg(1, "dims")
    order = order if isinstance(order, (tuple, list)) else call.node.args[1:]
    perm = tuple(axis % len(call.given) for axis in order)
    return (call.names[call.node.args[0]],), lambda v: Transpose(perm)


def _sum_over(call: Call):
    axes = call.arg(1, "dim")
    if axes is None or not call.arg(2, "keepdim", False):
        raise call.refuse("sums over named axes that stay (keepdim=True) have bounds here")
    axes = tuple(axis % len(call.given) for axis in (axes if isinstance(axes, (tuple, list)) else (axes,)))
    return (call.names[call.node.args[0]],), lambda v: Sum(axes)


def _index_select(call: Call):
    """Entries of a flat value (1, i)."""
    indices = call.arg(2, "index")
    if len(call.given) != 2 or call.arg(1, "dim") not in (1, -1) or not isinstance(indices, Tensor):
        raise call.refuse("entries are selected from flat values, (n, i), by constant positions")
    return (call.names[call.node.args[0]],), lambda v: Gather(indices.unsqueeze(0))


def _pad(call: Call):
    """Constants around a flat value (1, i)."""
    sizes, mode, fill = call.arg(1, "pad"), call.arg(2, "mode", "constant"), call.arg(3, "value", 0.0) or 0.0
    if len(call.given) != 2 or mode != "constant" or len(sizes) != 2:
        raise call.refuse("flat values, (n, i), are padded with constants; images by the convolution behind")
    indices = torch.arange(-sizes[0], call.given[1] + sizes[1]).unsqueeze(0)
    indices = torch.where(indices < call.given[1], indices.clamp(min=-1), -1)
    return (call.names[call.node.args[0]],), lambda v: Gather(indices.to(v.device), float(fill))


def _pool_layer(call: Call):
    layer = call.module
    return _pool(call, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode, layer.count_include_pad,
                 layer.divisor_override)


def _pool_call(call: Call):
    return _pool(call, *(call.arg(k + 1, name, default) for k, (name, default) in enumerate((
        ("kernel_size", None), ("stride", None), ("padding", 0), ("ceil_mode", False), ("count_include_pad", True),
        ("divisor_override", None)))))


def _global_pool_layer(call: Call):
    size = _pair(call.module.output_size)
    if size != (1, 1):
        raise call.refuse(f"pools to {list(size)}; only a pool to one number per channel has bounds here")
    return _pool(call, call.given[-2:], None, 0, False, True, None)


def _pool(call: Call, kernel: Any, stride: Any, padding: Any, ceil_mode: bool, count_pad: bool, divisor: Any):
    """The mean of a window: a convolution of every channel by itself with equal weights."""
    kernel, padding = _pair(kernel), _pair(padding)
    stride = kernel if stride is None else _pair(stride)
    if ceil_mode or divisor is not None or (padding != (0, 0) and not count_pad):
        raise call.refuse("windows of unequal size have no bounds here; use ceil_mode=False and count_include_pad=True")
    channels = call.given[1]

    def make(values: Values) -> Op:
        weight = torch.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]), device=values.device,
                            dtype=values.dtype)
        return Conv(weight, None, stride, padding, (1, 1), channels)

    return (call.names[call.node.args[0]],), make


def _cat(call: Call):
    parts, dim = call.node.args[0], call.arg(1, "dim", 0)
    if not all(call.depends(part) for part in parts):
        raise call.refuse("joins values with constants")
    dim = dim % len(call.shape(parts[0]))
    if dim == 0:
        raise call.refuse("joins along the batch axis")
    return tuple(call.names[part] for part in parts), lambda v: Concat(dim)


def _negated(call: Call):
    return (call.names[call.node.args[0]],), lambda v: Affine(-v.tensor(1.0))


def _sum(sign: int) -> Callable[[Call], Any]:
    """x + y and x - y; one of them may be a constant."""

    def translator(call: Call):
        if call.node.kwargs:
            raise call.refuse(f"the options {sorted(call.node.kwargs)} are not read here")
        a, b = call.node.args
        if call.depends(a) and call.depends(b):
            if call.shape(a) != call.shape(b):
                raise call.refuse(f"shapes {list(call.shape(a))} and {list(call.shape(b))} are not added here")
            return (call.names[a], call.names[b]), lambda v: Add((1, sign))
        if call.depends(a):
            _check_constant(call, b, a)
            return (call.names[a],), lambda v: Affine(None, v.constant(b) if sign > 0 else -v.constant(b))
        _check_constant(call, a, b)
        return (call.names[b],), lambda v: Affine(None if sign > 0 else -v.tensor(1.0), v.constant(a))

    return translator


def _product(call: Call):
    a, b = call.node.args
    if call.depends(a) and call.depends(b):
        raise call.refuse("both factors depend on the input; one has to be constant")
    value, factor = (a, b) if call.depends(a) else (b, a)
    _check_constant(call, factor, value)
    return (call.names[value],), lambda v: Affine(v.constant(factor))


def _quotient(call: Call):
    value, divisor = call.node.args[:2]
    if call.depends(divisor) or call.node.kwargs:
        raise call.refuse("a quotient needs a constant divisor and no rounding mode")
    _check_constant(call, divisor, value)
    return (call.names[value],), lambda v: Affine(1 / v.constant(divisor))


def _check_constant(call: Call, constant: Any, value: fx.Node) -> None:
    """A constant may not enlarge the value."""
    shape = tuple(call.values.constant(constant).shape)
    given = call.shape(value)
    if len(shape) > len(given) or any(s not in (1, g) for s, g in zip(reversed(shape), reversed(given), strict=False)):
        raise call.refuse(f"a constant of shape {list(shape)} does not fit a value of shape {list(given)}")


_PLUS, _MINUS = _sum(1), _sum(-1)
MODULES: Mapping[type, Callable] = MappingProxyType({
    nn.Linear: _linear_layer, nn.Conv2d: _conv_layer, nn.BatchNorm1d: _batch_norm, nn.BatchNorm2d: _batch_norm,
    nn.ReLU: _relu, nn.Sigmoid: _sigmoid, nn.Tanh: _tanh, nn.ConvTranspose2d: _deconv_layer,
    nn.Flatten: _flatten_layer, nn.Unflatten: _unflatten_layer, nn.AvgPool2d: _pool_layer,
    nn.AdaptiveAvgPool2d: _global_pool_layer, nn.Identity: _identity, nn.Dropout: _identity, nn.Dropout2d: _identity,
})
FUNCTIONS: Mapping[Callable, Callable] = MappingProxyType({
    operator.add: _PLUS, operator.iadd: _PLUS, torch.add: _PLUS, operator.sub: _MINUS, operator.isub: _MINUS,
    torch.sub: _MINUS, operator.mul: _product, operator.imul: _product, torch.mul: _product,
    operator.truediv: _quotient, operator.itruediv: _quotient, torch.div: _quotient, operator.neg: _negated,
    torch.relu: _relu, F.relu: _relu, torch.flatten: _flatten, torch.reshape: _reshape, torch.cat: _cat,
    F.linear: _linear, F.conv2d: _conv, torch.conv2d: _conv, F.avg_pool2d: _pool_call, F.dropout: _identity,
    F.pad: _pad, torch.index_select: _index_select, torch.permute: _permute, torch.sum: _sum_over,
    torch.sigmoid: _sigmoid, torch.tanh: _tanh,
})
METHODS: Mapping[str, Callable] = MappingProxyType({
    "add": _PLUS, "sub": _MINUS, "mul": _product, "div": _quotient, "neg": _negated, "relu": _relu,
    "flatten": _flatten, "reshape": _reshape, "view": _reshape, "contiguous": _identity,
    "permute": _permute, "sum": _sum_over, "sigmoid": _sigmoid, "tanh": _tanh,
})
IN_PLACE = (operator.iadd, operator.isub, operator.imul, operator.itruediv)
