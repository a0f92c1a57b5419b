"""Pow: a constant exponent is a curve, a variable one needs a positive base: x^y = exp(y log x).

Entries with different constant exponents are computed apart and put together again.
"""

from __future__ import annotations

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, times
from verify.onnx_import.registry import importer
from verify.ops import Concat, Exp, Log, Power, Reciprocal, Sqrt


def power(call: Call, x: Variable, exponent: float) -> Variable:
    """x^exponent entry by entry."""
    if exponent == 0:
        return affine(call, x, scale=0.0, shift=1.0, roundings=None)
    if exponent == 1:
        return x
    if exponent in (0.5, -1):
        return call.add(Sqrt() if exponent == 0.5 else Reciprocal(), x)
    return call.add(Power(int(exponent) if exponent == int(exponent) else exponent), x)


@importer("Pow")
def pow_(call: Call) -> Variable:
    base, exponent = call.value(0), call.value(1)
    if not isinstance(exponent, Variable):
        return _constant_exponents(call, call.as_variable(base), call.tensor(exponent.array, exponent.name).numpy())
    if isinstance(base, Variable):
        logarithm = call.add(Log(), base)
        return call.add(Exp(), times(call, exponent, logarithm))
    array = call.tensor(base.array, base.name).numpy()
    if not (array > 0).all():
        raise call.refuse("a base that is not positive with a variable exponent; a positive one would be accepted")
    return call.add(Exp(), affine(call, exponent, scale=np.log(array)))


def _constant_exponents(call: Call, x: Variable, exponents: np.ndarray) -> Variable:
    try:
        shape = np.broadcast_shapes(x.shape, exponents.shape)
    except ValueError as error:
        raise ShapeMismatch(f"exponents of shape {list(exponents.shape)} do not fit {list(x.shape)}") from error
    x, flat = call.expand(x, shape), np.broadcast_to(exponents, shape).reshape(-1)
    distinct = np.unique(flat)
    if len(distinct) == 1:
        return power(call, x, float(distinct[0]))
    places = [np.flatnonzero(flat == value) for value in distinct]
    parts = [power(call, call.gather(x, at), float(value)) for value, at in zip(distinct, places, strict=True)]
    return call.gather(call.add(Concat(0), *parts), np.argsort(np.concatenate(places)).reshape(shape))
