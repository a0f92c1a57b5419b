"""Multipliers for leaves that the recorded evidence does not prove, optimised on the checker's collapsed network.

The checker's network becomes a `CompactNetwork`; `ascend` (alpha/beta-CROWN) finds slopes and multipliers, and the
neuron whose relaxation costs most is named for a further split. Nothing found here is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np
import torch

from verify.bounds.ascent import AscentOptions, ascend
from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.bounds.dual import DualProblem
from verify.bounds.lines import DualLines
from verify.budget import Budget
from verify.certificate.checker import bounds, nodes
from verify.certificate.checker.collapse import Collapsed
from verify.certificate.checker.nodes import Leaf
from verify.certificate.emit.pieces import rounded
from verify.ops import Relu, Sigmoid, Tanh

OPTIONS = AscentOptions(iterations=100, lr_alpha=0.1, lr_beta=0.1, patience=30)
OPS = MappingProxyType({"relu": Relu, "sigmoid": Sigmoid, "tanh": Tanh})


def compact(net: Collapsed, rows: Sequence[int], scale: float = 1.0) -> CompactNetwork:
    """The checker's collapsed network as the prover's, with the listed rows divided by `scale`."""
    tensor = torch.from_numpy
    layers = tuple(
        CompactLayer(str(layer.order), OPS[layer.kind](), tensor(layer.neurons), layer.start, tensor(layer.weight),
                     tensor(layer.bias), tensor(layer.error), tensor(layer.lower), tensor(layer.upper))
        for layer in net.layers
    )
    rows = list(rows)
    return CompactNetwork(torch.arange(net.inputs), tensor(net.x_lower), tensor(net.x_upper), layers,
                          tensor(net.weight[rows] / scale), tensor(net.bias[rows] / scale),
                          tensor(net.error[rows] / scale))


@torch.no_grad()
def strengthened(net: Collapsed, leaves: Sequence[Leaf], rows: list[int], budget: Budget
                 ) -> tuple[list[Leaf], list[int | None]]:
    """Per leaf better evidence for the one disjunct `rows`, and the column to split if that fails (None: none left)."""
    if not rows:
        return list(leaves), [None] * len(leaves)
    domains, _ = bounds.refreshed(net, nodes.batch_of([leaf.domain for leaf in leaves]))
    # Multipliers grow with the rows; the steps of the ascent are made for numbers around 1.
    scale = float(np.abs(net.weight[rows]).max(initial=0)) or 1.0
    network = compact(net, rows, scale)
    lower, upper = torch.from_numpy(domains.lower), torch.from_numpy(domains.upper)
    problem = DualProblem(network, DualLines.of(network, lower, upper))
    signs = torch.from_numpy(domains.signs)
    members = torch.ones(len(leaves), len(rows), dtype=torch.bool)
    start = problem.initial(members.double() / len(rows))
    found = ascend(problem, start, signs, members, OPTIONS, expired=lambda: budget.expired)
    better = []
    for k, leaf in enumerate(leaves):
        alpha = _packed(net, found.params.alpha[k].numpy(), found.params.upper[k].numpy())
        beta = rounded(scale * found.params.beta[k].numpy()[leaf.domain.split_columns()])
        weights = [rounded(found.params.weights[k].numpy())] if len(rows) > 1 else None
        better.append(Leaf(leaf.domain, True, alpha, beta if beta.any() else None, weights))
    return better, _columns(net, domains, found.form[:, net.inputs :].numpy())


def _packed(net: Collapsed, alpha: np.ndarray, upper: np.ndarray) -> np.ndarray:
    values = np.concatenate([alpha, upper[bounds.smooth_columns(net)]])
    return np.clip(np.round(values * 256), 0, 255).astype(np.uint8)


def _columns(net: Collapsed, domains: bounds.Domains, coefficient: np.ndarray) -> list[int | None]:
    """Per domain the unsplit unstable ReLU whose chord takes most from the bound."""
    free = (domains.signs == 0) & (domains.lower < 0) & (domains.upper > 0) & ~bounds.smooth_columns(net)
    line = bounds.lines(net, domains, bounds.default_alpha(net, domains))
    cost = np.where(free, -np.minimum(coefficient, 0) * line.upper_intercept, -np.inf)
    # Without any negative coefficient the widest one is as good as any.
    return [int(np.argmax(row)) if mine.any() else None for row, mine in zip(cost, free, strict=True)]
