"""Linear maps along one axis: y[.., o, ..] = sum_i matrix[o, i] x[.., i, ..] + bias[o]."""

from __future__ import annotations

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.ops import Linear, Transpose


def along_axis(call: Call, x: Variable, axis: int, matrix: np.ndarray, bias: np.ndarray | None = None) -> Variable:
    """The map as a `Linear` between two transposes."""
    order = [*(k for k in range(x.rank) if k != axis), axis]
    last = x if axis == x.rank - 1 else call.add(Transpose(tuple(order)), x)
    y = call.add(Linear(call.tensor(matrix), None if bias is None else call.tensor(bias)), last)
    return y if axis == x.rank - 1 else call.add(Transpose(tuple(np.argsort(order).tolist())), y)
