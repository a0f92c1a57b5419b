"""The arithmetic of folding affine maps into each other, with what rounding can have done to the result.

    scale (W x + b) + shift = (scale W) x + (scale b + shift)
    W (scale x + shift) + b = (W scale) x + (W shift + b)
    W2 (W1 x + b1) + b2     = (W2 W1) x + (W2 b1 + b2)

A sum computed here may cancel, so its error is bounded by the terms, not by what remains: they are kept as
`bias_magnitude` and `shift_magnitude`. Scaling a weight is one relative rounding, which the eight spare ones in
`gamma` cover (`simplify` limits how many can meet). A product of matrices over k terms is off by at most gamma_k
|W2| |W1| (Higham 2002, eq. 3.13), entry by entry at most gamma_k times the outer product of row sums of |W2| and
column maxima of |W1|: `row_noise` and `column_noise`. Folding is done in float64.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from verify.ops import Affine, Conv, ConvTranspose, Linear

# Covers the rounding of the magnitudes themselves and 1 / (1 - n u).
SAFETY = 1.01

# Smallest product that is formed here: its own products with float64 weights stay normal numbers.
SMALLEST = 1e-150


def underflows(a: Tensor | None, b: Tensor | None) -> bool:
    """True when some product of an entry of each may be too small to have a relative rounding error."""
    if a is None or b is None:
        return False
    least = [v.abs()[v != 0].min() if bool((v != 0).any()) else torch.ones(()) for v in (a, b)]
    return bool(least[0].double() * least[1].double() < SMALLEST)


def _total(*terms: Tensor | None) -> Tensor | None:
    """Sum of the terms that exist."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _times(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Product, None standing for 1."""
    if a is None or b is None:
        return a if b is None else b
    return a * b


def _magnitude(value: Tensor | None, magnitude: Tensor | None) -> Tensor | None:
    """The given magnitude of a bias or shift, |value| by default."""
    if value is None:
        return None
    return value.abs() if magnitude is None else magnitude


def along_last_axis(value: Tensor | None, size: int) -> Tensor | None:
    """A broadcast constant as a vector (size) over the last axis; ValueError when it varies over other axes."""
    if value is None:
        return None
    if value.numel() == 1:
        return value.reshape(1).expand(size)
    if value.shape[-1] != size or value.numel() != size:
        raise ValueError("varies over other axes")
    return value.reshape(size)


def along_channels(value: Tensor | None, channels: int) -> Tensor | None:
    """A broadcast constant of an image (1, c, h, w) as a vector (c); ValueError when it varies over positions."""
    if value is None:
        return None
    if value.numel() == 1:
        return value.reshape(1).expand(channels)
    shape = (1,) * (4 - value.dim()) + tuple(value.shape)
    if shape != (1, channels, 1, 1):
        raise ValueError("varies over positions")
    return value.reshape(channels)


def affine_after_affine(first: Affine, second: Affine) -> Affine:
    """second(first(x))."""
    shift = _total(_times(first.shift, second.scale) if first.shift is not None else None, second.shift)
    first_magnitude = _magnitude(first.shift, first.shift_magnitude)
    if first_magnitude is not None and second.scale is not None:
        first_magnitude = first_magnitude * second.scale.abs()
    magnitude = _total(first_magnitude, _magnitude(second.shift, second.shift_magnitude))
    return Affine(_times(first.scale, second.scale), shift, None if magnitude is None else magnitude * SAFETY)


def _scaled_bias(
    bias: Tensor | None, magnitude: Tensor | None, scale: Tensor | None, shift: Tensor | None,
    shift_magnitude: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:
    """scale * bias + shift, and the magnitude of its terms."""
    terms = _magnitude(bias, magnitude)
    if scale is not None and bias is not None:
        bias, terms = bias * scale, terms * scale.abs()
    terms = _total(terms, _magnitude(shift, shift_magnitude))
    return _total(bias, shift), None if terms is None else terms * SAFETY


def affine_after_linear(linear: Linear, affine: Affine) -> Linear:
    """affine(linear(x)); ValueError when the affine map is not one per output neuron."""
    size = linear.weight.shape[0]
    scale, shift, terms = (
        along_last_axis(v, size) for v in (affine.scale, affine.shift, affine.shift_magnitude)
    )
    bias, magnitude = _scaled_bias(linear.bias, linear.bias_magnitude, scale, shift, terms)
    if scale is None:
        return replace(linear, bias=bias, bias_magnitude=magnitude)
    noise = None if linear.row_noise is None else linear.row_noise * scale.abs()
    return replace(
        linear, weight=linear.weight * scale[:, None], bias=bias, bias_magnitude=magnitude, row_noise=noise
    )


def linear_after_affine(affine: Affine, linear: Linear) -> Linear:
    """linear(affine(x)); ValueError when the affine map is not one per input neuron."""
    size = linear.weight.shape[1]
    scale, shift, terms = (
        along_last_axis(v, size) for v in (affine.scale, affine.shift, affine.shift_magnitude)
    )
    terms = _magnitude(shift, terms)
    # W may itself be off by its noise, which the shift meets too.
    noise = None if shift is None or linear.row_noise is None else linear.row_noise * (linear.column_noise @ terms)
    met = None if shift is None else linear.weight.abs() @ terms
    magnitude = _total(met, noise, _magnitude(linear.bias, linear.bias_magnitude))
    weight = linear.weight if scale is None else linear.weight * scale
    column = linear.column_noise if scale is None or linear.column_noise is None else linear.column_noise * scale.abs()
    return replace(
        linear, weight=weight, bias=_total(None if shift is None else linear.weight @ shift, linear.bias),
        bias_magnitude=None if magnitude is None else magnitude * SAFETY, column_noise=column,
    )


def linear_after_linear(first: Linear, second: Linear) -> Linear:
    """second(first(x))."""
    inner, size = first.weight.shape
    # Linear charges gamma over its own `size` terms; the product summed `inner`.
    factor = SAFETY * max(1.0, (inner + 9) / (size + 8))
    magnitudes = second.weight.abs()
    rows, columns = magnitudes.sum(1), first.weight.abs().amax(0)
    bias_noise = None
    if first.row_noise is not None:
        rows, columns = rows + magnitudes @ first.row_noise, torch.maximum(columns, first.column_noise)
    if second.row_noise is not None:
        rows = rows + second.row_noise
        columns = torch.maximum(columns, second.column_noise @ first.weight.abs())
    terms = _magnitude(first.bias, first.bias_magnitude)
    if terms is not None and second.row_noise is not None:
        bias_noise = second.row_noise * (second.column_noise @ terms)
    magnitude = _total(
        None if terms is None else magnitudes @ terms, bias_noise, _magnitude(second.bias, second.bias_magnitude)
    )
    bias = _total(None if first.bias is None else second.weight @ first.bias, second.bias)
    return Linear(
        second.weight @ first.weight, bias, None if magnitude is None else magnitude * factor, rows * factor, columns
    )


def affine_after_conv(conv: Conv | ConvTranspose, affine: Affine) -> Conv | ConvTranspose:
    """affine(conv(x)); ValueError when the affine map is not one per output channel."""
    transposed = isinstance(conv, ConvTranspose)
    channels = conv.weight.shape[1] * conv.groups if transposed else conv.weight.shape[0]
    scale, shift, terms = (
        along_channels(v, channels) for v in (affine.scale, affine.shift, affine.shift_magnitude)
    )
    bias, magnitude = _scaled_bias(conv.bias, conv.bias_magnitude, scale, shift, terms)
    weight = conv.weight
    if scale is not None and transposed:
        # (i, o / groups): input channel i of group g feeds the outputs of group g.
        per_group = scale.reshape(conv.groups, -1).repeat_interleave(weight.shape[0] // conv.groups, 0)
        weight = weight * per_group[:, :, None, None]
    elif scale is not None:
        weight = weight * scale[:, None, None, None]
    return replace(conv, weight=weight, bias=bias, bias_magnitude=magnitude)


def conv_after_affine(affine: Affine, conv: Conv) -> Conv:
    """conv(affine(x)); ValueError when that is no convolution (shift per position, or a shift next to zero padding)."""
    if affine.shift is not None and any(conv.padding):
        raise ValueError("zero padding is not shifted")
    channels = conv.weight.shape[1] * conv.groups
    scale, shift, terms = (
        along_channels(v, channels) for v in (affine.scale, affine.shift, affine.shift_magnitude)
    )

    def per_output(value: Tensor) -> Tensor:
        """(i) -> (o, i / groups): what each output channel reads."""
        return value.reshape(conv.groups, -1).repeat_interleave(conv.weight.shape[0] // conv.groups, 0)

    bias, magnitude = conv.bias, conv.bias_magnitude
    if shift is not None:
        terms = per_output(_magnitude(shift, terms))
        bias = _total((conv.weight.sum((2, 3)) * per_output(shift)).sum(1), conv.bias)
        met = (conv.weight.abs().sum((2, 3)) * terms).sum(1)
        magnitude = _total(met, _magnitude(conv.bias, conv.bias_magnitude)) * SAFETY
    weight = conv.weight if scale is None else conv.weight * per_output(scale)[:, :, None, None]
    return replace(conv, weight=weight, bias=bias, bias_magnitude=magnitude)
