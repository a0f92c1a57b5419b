"""Small compact networks for the LP tests, and their exact-in-float64 minimum by enumeration of patterns."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from scipy.optimize import linprog

from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.lp.model import LinearProgram
from verify.ops import Op, Relu


def random_compact(
    seed: int, sizes=(3, 3), inputs: int = 2, rows: int = 2, op: Op | None = None, dtype=torch.float64, radius=1.0,
    error: float = 0.0, shift: float = 0.0,
) -> CompactNetwork:
    """Layers with interval bounds (loose but sound) and biases that keep 0 inside them."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    lower, upper = torch.full((inputs,), -radius, dtype=dtype), torch.full((inputs,), radius, dtype=dtype)
    low, high, layers = lower, upper, []
    for k, size in enumerate(sizes):
        weight = normal(size, low.numel())
        center = weight @ ((low + high) / 2)
        reach = weight.abs() @ ((high - low) / 2)
        bias = -center + 0.4 * reach * torch.tanh(normal(size))
        l, u = center + bias - reach * 1.01 - 1e-3, center + bias + reach * 1.01 + 1e-3
        kind, slack = op or Relu(), torch.full((size,), error, dtype=dtype)
        layers.append(CompactLayer(f"layer{k}", kind, torch.arange(size), low.numel(), weight, bias, slack, l, u))
        y = kind.evaluate(torch.stack([l, u]))
        low, high = torch.cat([low, y[0]]), torch.cat([high, y[1]])
    return CompactNetwork(
        torch.arange(inputs), lower, upper, tuple(layers), normal(rows, low.numel()), normal(rows) + shift,
        torch.zeros(rows, dtype=dtype),
    )


def evaluate(compact: CompactNetwork, x: np.ndarray) -> np.ndarray:
    """The rows h at x."""
    v = torch.from_numpy(x).double()
    for layer in compact.layers:
        z = layer.weight.double() @ v + layer.bias.double()
        v = torch.cat([v, layer.op.evaluate(z)])
    return (compact.row_weight.double() @ v + compact.row_bias.double()).numpy()


def pattern_minimum(compact: CompactNetwork, disjunct, signs: np.ndarray) -> float:
    """min over x of the largest row, every ReLU fixed by `signs`; inf for an empty region."""
    inputs = compact.x_lower.numel()
    v, limits, offsets, first = np.hstack([np.eye(inputs), np.zeros((inputs, 1))]), [], [], 0
    for layer in compact.layers:
        z = layer.weight.double().numpy() @ v
        z[:, -1] += layer.bias.double().numpy()
        s = signs[first : first + len(z)].astype(float)
        first += len(z)
        limits.append(-s[:, None] * z[:, :-1])
        offsets.append(s * z[:, -1])
        v = np.vstack([v, z * (s > 0)[:, None]])
    rows = list(disjunct)
    h = compact.row_weight.double().numpy()[rows] @ v
    h[:, -1] += compact.row_bias.double().numpy()[rows]
    a = [np.hstack([part, np.zeros((len(part), 1))]) for part in limits]
    a = np.vstack([*a, np.hstack([h[:, :-1], -np.ones((len(h), 1))])])
    b = np.concatenate([*offsets, -h[:, -1]])
    box = list(zip(compact.x_lower.tolist(), compact.x_upper.tolist(), strict=True))
    answer = linprog(np.r_[np.zeros(inputs), 1.0], a, b, bounds=[*box, (None, None)], method="highs")
    return answer.fun if answer.status == 0 else np.inf


def patterns(compact: CompactNetwork):
    """All sign vectors, int8 (U,)."""
    count = sum(layer.size for layer in compact.layers)
    return (np.array(s, dtype=np.int8) for s in itertools.product((-1, 1), repeat=count))


def true_minimum(compact: CompactNetwork, disjunct) -> float:
    """min over the box of the largest row of the disjunct."""
    return min(pattern_minimum(compact, disjunct, s) for s in patterns(compact))


def hard_program(columns: int = 120, rows: int = 40) -> LinearProgram:
    """A multidimensional knapsack that no solver finishes quickly."""
    rng = np.random.default_rng(0)
    a = rng.integers(1, 100, (rows, columns)).astype(float)
    return LinearProgram.from_matrix(
        -rng.integers(1, 100, columns), a, np.full(rows, -np.inf), a.sum(1) / 3, np.zeros(columns), np.ones(columns),
        np.ones(columns, dtype=bool),
    )
