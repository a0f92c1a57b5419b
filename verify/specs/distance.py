"""The l1 distance to a point as a further output of a model:  d(x) = sum_i |x_i - c_i|, |t| = relu(t) + relu(-t).

As a row of the graph it takes part in every bound: with w = max_i |A_i| and slopes in [-w, w] for the |t|,

    min { A x : d(x) <= eps }  >=  A c - eps max_i |A_i|,                         the dual norm, is attained.

c is exact. Executions of the model round d; membership is decided on rationals (`verify.specs.balls`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verify.errors import ShapeMismatch
from verify.onnx_import import Network
from verify.specs.surgery import Surgery, reread


@dataclass(frozen=True, eq=False)
class Distance:
    """`centre` (i,), flat."""

    centre: np.ndarray
    outputs: int = 1

    def attach(self, network: Network) -> Network:
        surgery = Surgery(network)
        port = surgery.port
        if port.size != self.centre.size:
            raise ShapeMismatch(f"the point has {self.centre.size} entries; the input {port.name!r} of "
                                f"{network.source} has {port.size} (shape {list(port.shape)})")
        apart = surgery.plus(surgery.reshaped(port.name, (1, port.size)), -self.centre, "x")
        ones = surgery.constant(np.ones((port.size, 1), port.dtype))
        total = surgery.node("MatMul", surgery.node("Abs", apart), ones)
        return reread(surgery.behind(total, (1, 1)), network)
