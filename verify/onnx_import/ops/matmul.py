"""MatMul with numpy's rules for ranks: by a constant on either side a `Linear`; of two variables

    y_ij = sum_k a_ik b_kj:    one `Product` over all (i, k, j), one `Sum` over k.
"""

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import DENSE_LIMIT, linear_map, swap_last
from verify.onnx_import.registry import importer
from verify.ops import Linear, Product, Sum


@importer("MatMul")
def matmul(call: Call) -> Variable:
    a, b = call.value(0), call.value(1)
    if isinstance(a, Variable) and isinstance(b, Variable):
        return product(call, a, b)
    if isinstance(a, Variable):
        return _times(call, a, call.tensor(b.array, b.name).numpy())
    return _times_left(call, call.tensor(a.array, a.name).numpy(), b)


def product(call: Call, a: Variable, b: Variable, trans_a: bool = False, trans_b: bool = False) -> Variable:
    """a' @ b', where ' is an optional transpose of the last two axes; each operand is read by one `Gather`."""
    index_a, index_b = (np.arange(v.size).reshape(v.shape) for v in (a, b))
    index_a = np.swapaxes(index_a, -1, -2) if trans_a else index_a
    index_b = np.swapaxes(index_b, -1, -2) if trans_b else index_b
    row = index_a[None, :] if a.rank == 1 else index_a
    column = index_b[:, None] if b.rank == 1 else index_b
    if row.shape[-1] != column.shape[-2]:
        raise ShapeMismatch(f"cannot multiply shapes {list(index_a.shape)} and {list(index_b.shape)}")
    lead = np.broadcast_shapes(row.shape[:-2], column.shape[:-2])
    shape = (*lead, row.shape[-2], row.shape[-1], column.shape[-1])
    if np.prod(shape, dtype=float) > DENSE_LIMIT:
        raise call.refuse(f"{list(shape)} products of two variables, more than {DENSE_LIMIT}")
    left = call.gather(a, np.broadcast_to(row[..., None], shape))
    right = call.gather(b, np.broadcast_to(column[..., None, :, :], shape))
    y = call.add(Sum((len(shape) - 2,)), call.add(Product(), left, right))
    kept = (*lead, *(shape[-3:-2] if a.rank > 1 else ()), *(shape[-1:] if b.rank > 1 else ()))
    return call.reshape(y, kept)


def _times(call: Call, x: Variable, weight: np.ndarray) -> Variable:
    """x @ weight."""
    if weight.ndim > 2:
        return linear_map(call, x, lambda values: values @ weight, np.matmul(np.zeros(x.shape), weight).shape)
    matrix = weight.reshape(len(weight), -1)
    y = call.add(Linear(call.tensor(matrix.T.copy())), x)
    return y if weight.ndim == 2 else call.reshape(y, y.shape[:-1])


def _times_left(call: Call, weight: np.ndarray, x: Variable) -> Variable:
    """weight @ x = (x^T weight^T)^T."""
    if weight.ndim > 2:
        return linear_map(call, x, lambda values: np.matmul(weight, values), np.matmul(weight, np.zeros(x.shape)).shape)
    matrix = call.tensor(weight.reshape(-1, weight.shape[-1]))
    if x.rank == 1:
        y = call.add(Linear(matrix), x)
        return y if weight.ndim == 2 else call.reshape(y, ())
    y = swap_last(call, call.add(Linear(matrix), swap_last(call, x)))
    return y if weight.ndim == 2 else call.reshape(y, (*y.shape[:-2], y.shape[-1]))
