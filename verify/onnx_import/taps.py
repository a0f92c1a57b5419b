"""Weighted sums of few entries: y = sum_k weights_k x[indices_k], one term per tap.

What interpolates at constant positions, or adds up windows, reads few entries of a large value: a dense matrix would be
mostly zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine
from verify.ops import Add

Tap = tuple[np.ndarray, np.ndarray | float]
"""Flat indices (-1: none) of the output's shape, and weights that broadcast against it."""


def tapped(call: Call, x: Variable, taps: Sequence[Tap]) -> Variable:
    """The sum over all taps; those that read nothing are left out."""
    terms = []
    for index, weight in taps:
        index = np.where(np.broadcast_to(weight, index.shape) == 0, -1, index)
        if (index >= 0).any() or not terms:
            term = call.gather(x, index)
            terms.append(term if np.all(np.equal(weight, 1.0)) else affine(call, term, scale=weight))
    return terms[0] if len(terms) == 1 else call.add(Add((1,) * len(terms)), *terms)
