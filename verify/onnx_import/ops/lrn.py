"""LRN: y_c = x_c / (bias + alpha / size sum_k x_k^2)^beta over `size` channels k around c (Krizhevsky et al. 2012)."""

import numpy as np

from verify.onnx_import.call import Call, Variable
from verify.onnx_import.lowering import affine, times
from verify.onnx_import.registry import importer
from verify.ops import Power, Sum


@importer("LRN")
def lrn(call: Call) -> Variable:
    x, size = call.variable(0), call.attribute("size")
    before = (size - 1) // 2

    def windows(index: np.ndarray) -> np.ndarray:
        """(size, *shape): the k-th channel that each entry reads, -1 beyond the first and last channel."""
        room = [(0, 0), (before, size - 1 - before), *((0, 0) for _ in index.shape[2:])]
        padded = np.pad(index, room, constant_values=-1)
        return np.stack([padded[:, k : k + index.shape[1]] for k in range(size)])

    squares = call.add(Sum((0,)), call.rearrange(times(call, x, x), windows))
    base = affine(call, call.reshape(squares, x.shape), call.attribute("alpha", 1e-4) / size,
                  call.attribute("bias", 1.0))
    return times(call, x, call.add(Power(-call.attribute("beta", 0.75)), base))
