"""Gemm: Y = alpha A' B' + beta C, where ' is an optional transpose; products of two variables as in `matmul`."""

from dataclasses import replace

import numpy as np
import torch

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, broadcast, is_mild, swap_last
from verify.onnx_import.ops.matmul import product
from verify.onnx_import.registry import importer
from verify.ops import Add, Linear


@importer("Gemm")
def gemm(call: Call) -> Variable:
    a, b = call.value(0), call.value(1)
    alpha, trans_a, trans_b = call.attribute("alpha", 1.0), call.attribute("transA", 0), call.attribute("transB", 0)
    if isinstance(a, Variable) and isinstance(b, Variable):
        y = product(call, a, b, bool(trans_a), bool(trans_b))
        return _plus(call, y if alpha == 1 else affine(call, y, scale=alpha))
    if not is_mild(alpha):
        y = gemm(replace(call, inputs=(a, b), attributes={**call.attributes, "alpha": 1.0}))
        return _plus(call, affine(call, y, scale=alpha))
    if isinstance(a, Variable):
        weight = alpha * call.weight(1, "weight")
        # Linear keeps one row per output, which is B transposed.
        y, bias = _with_bias(call, swap_last(call, a) if trans_a else a, weight if trans_b else weight.T.contiguous())
        return y if bias else _plus(call, y)
    weight = alpha * call.weight(0, "weight")
    b = call.as_variable(b)  # a constant when only C depends on the network input
    y = call.add(
        Linear(weight.T.contiguous() if trans_a else weight), b if trans_b else swap_last(call, b)
    )
    return _plus(call, swap_last(call, y))


def _with_bias(call: Call, x: Variable, weight: torch.Tensor) -> tuple[Variable, bool]:
    """The product, with C inside when it is a bias per column (else the caller adds it)."""
    if not call.has(2) or isinstance(call.value(2), Variable):
        return call.add(Linear(weight), x), False
    c = call.attribute("beta", 1.0) * call.weight(2, "bias").numpy()
    if c.size not in (1, weight.shape[0]) or (c.ndim and c.shape[-1] not in (1, weight.shape[0])) or (
        c.ndim == 2 and c.shape[0] != 1
    ):
        return call.add(Linear(weight), x), False
    bias = call.tensor(np.broadcast_to(c.reshape(-1), weight.shape[:1]))
    return call.add(Linear(weight, bias), x), True


def _plus(call: Call, y: Variable) -> Variable:
    """y + beta C."""
    if not call.has(2):
        return y
    beta = call.attribute("beta", 1.0)
    c = call.value(2)
    if not isinstance(c, Variable):
        return affine(call, y, shift=beta * call.weight(2, "bias").numpy())
    return call.add(Add(), *broadcast(call, y, c if beta == 1 else affine(call, c, scale=beta)))
