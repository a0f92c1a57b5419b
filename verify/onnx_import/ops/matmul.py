"""MatMul by a constant on either side, with numpy's rules for ranks."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import linear_map, swap_last
from verify.onnx_import.registry import importer
from verify.ops import Linear


@importer("MatMul")
def matmul(call: Call) -> Variable:
    a, b = call.value(0), call.value(1)
    if isinstance(a, Variable) and isinstance(b, Variable):
        raise call.refuse("both factors depend on the network input; one constant factor would be accepted")
    if isinstance(a, Variable):
        return _times(call, a, call.tensor(b.array, b.name).numpy())
    return _times_left(call, call.tensor(a.array, a.name).numpy(), b)


def _times(call: Call, x: Variable, weight: np.ndarray) -> Variable:
    """x @ weight."""
    if weight.ndim > 2:
        return linear_map(call, x, lambda values: values @ weight, np.matmul(np.empty(x.shape), weight).shape)
    matrix = weight.reshape(len(weight), -1)
    y = call.add(Linear(call.tensor(matrix.T.copy())), x)
    return y if weight.ndim == 2 else call.reshape(y, y.shape[:-1])


def _times_left(call: Call, weight: np.ndarray, x: Variable) -> Variable:
    """weight @ x = (x^T weight^T)^T."""
    if weight.ndim > 2:
        return linear_map(call, x, lambda values: np.matmul(weight, values), np.matmul(weight, np.empty(x.shape)).shape)
    matrix = call.tensor(weight.reshape(-1, weight.shape[-1]))
    if x.rank == 1:
        y = call.add(Linear(matrix), x)
        return y if weight.ndim == 2 else call.reshape(y, ())
    y = swap_last(call, call.add(Linear(matrix), swap_last(call, x)))
    return y if weight.ndim == 2 else call.reshape(y, (*y.shape[:-2], y.shape[-1]))
