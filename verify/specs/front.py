"""An affine layer in front of a model:  p -> net(clip(base + p B)).

One family of perturbed inputs is the image of a small box of parameters p (Mohapatra et al., "Towards Verifying
Robustness of Neural Networks Against A Family of Semantic Perturbations", 2020). The layer is part of the ONNX model:
what is bounded, compared and replayed is the composite. Constants are exact (`verify.specs.surgery`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from verify.certificate import witness
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import import Network
from verify.query import Spec
from verify.specs.surgery import Surgery, reread, terms

PARAMETERS = "parameters"


@dataclass(frozen=True, eq=False)
class Affine:
    """`base` (i,), or 0; `bases` arrays (k, i) whose sum is B; `clip`: the valid range, applied last."""

    base: np.ndarray
    bases: tuple[np.ndarray, ...]
    clip: tuple[float, float] | None = None
    outputs: int = 0

    def attach(self, network: Network) -> Network:
        surgery, name = self._nodes(network)
        return reread(surgery.in_front(name, len(self.bases[0])), network)

    def apply(self, p: np.ndarray, network: Network) -> np.ndarray:
        surgery, name = self._nodes(network)
        size, port = len(self.bases[0]), surgery.port
        layer = witness.Network(surgery.alone(name, size), Spec(size, port.size, ()), optimised=False)
        return layer.run(p).reshape(port.shape)

    def _nodes(self, network: Network) -> tuple[Surgery, str]:
        surgery = Surgery(network)
        port, size = surgery.port, self.bases[0].shape[1]
        if port.size != size:
            raise ShapeMismatch(f"the perturbed input has {size} entries; the input {port.name!r} of {network.source} "
                                f"has {port.size} (shape {list(port.shape)})")
        name = f"{surgery.prefix}_{PARAMETERS}"
        matrices = [term for basis in self.bases for term in terms(basis, port, "the basis")]
        matrices = matrices or [np.zeros(self.bases[0].shape, port.dtype)]
        value = surgery.node("MatMul", name, surgery.constant(matrices[0]))
        for matrix in matrices[1:]:
            value = surgery.node("Add", value, surgery.node("MatMul", name, surgery.constant(matrix)))
        value = surgery.plus(value, self.base, "the base")
        if self.clip is None:
            surgery.reshaped(value, port.shape, output=port.name)
        else:
            low, high = (surgery.constant(_held(limit, port.dtype)) for limit in self.clip)
            value = surgery.node("Min", surgery.node("Max", value, low), high)
            surgery.reshaped(value, port.shape, output=port.name)
        return surgery, name


def _held(limit: float, dtype: type) -> np.ndarray:
    with np.errstate(over="ignore"):
        found = np.array(limit, dtype=dtype)
    if not math.isfinite(found) or float(found) != limit:
        raise InvalidInput(f"clip must be numbers of the model's type {np.dtype(dtype).name}, got {limit}; nearest is "
                           f"{float(found)!r}")
    return found
