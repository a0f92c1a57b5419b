"""Projected Adam on the dual variables of many subproblems (`verify.bounds.dual`): any values are sound, so nothing
that happens here can be wrong, only loose."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from verify.bounds.dual import DualParams, DualProblem, Pass
from verify.bounds.lines import Cuts


def project_to_simplex(weights: Tensor, members: Tensor) -> Tensor:
    """Euclidean projection of each row (n, r) onto the convex weights supported on `members` (n, r) bool.

    The projection does not change when a constant is added, and entries more than 1 below the largest become 0: after
    both, numbers of any size are projected without cancellation (the weights sum to 1 in float32, too).
    """
    masked = torch.where(members, weights, torch.full_like(weights, -torch.inf))
    shifted = (masked - masked.amax(1, keepdim=True)).clamp(min=-1)
    ordered, _ = shifted.sort(1, descending=True)
    total = ordered.cumsum(1) - 1
    count = torch.arange(1, weights.shape[1] + 1, device=weights.device, dtype=weights.dtype)
    support = (ordered - total / count > 0).sum(1, keepdim=True).clamp(min=1)
    threshold = total.gather(1, support - 1) / support
    return torch.where(members, (shifted - threshold).clamp(min=0), torch.zeros_like(weights))


@dataclass(frozen=True)
class AscentOptions:
    """Projected Adam on the dual. Rates decay by `decay` per step."""

    iterations: int = 20
    lr_alpha: float = 0.1
    lr_beta: float = 0.1
    lr_weights: float = 0.1
    decay: float = 0.98
    patience: int = 10


@dataclass(frozen=True, eq=False)
class Ascent:
    """Best bound per subproblem with its parameters; `form`, `z` and `v` belong to the last pass of each."""

    bound: Tensor
    params: DualParams
    form: Tensor
    z: Tensor
    v: Tensor


def _adam(value: Tensor, grad: Tensor, moments: list[Tensor], step: int, rate: float) -> None:
    """One ascent step in place."""
    first, second = moments
    first.mul_(0.9).add_(grad, alpha=0.1)
    second.mul_(0.999).addcmul_(grad, grad, value=0.001)
    scale = second.div(1 - 0.999**step).sqrt_().add_(1e-12)
    value.addcdiv_(first, scale, value=rate / (1 - 0.9**step))


def ascend(problem: DualProblem, params: DualParams, signs: Tensor | None = None, members: Tensor | None = None,
           options: AscentOptions = AscentOptions(), enough: float = 0.0,
           start: tuple[Tensor, Tensor] | None = None, expired=lambda: False, cuts: Cuts | None = None) -> Ascent:
    """Maximises the bound of each subproblem; one whose bound exceeds `enough` is finished.

    `members` (n, r): the rows each subproblem may combine; None keeps the weights. `signs` (n, u) int8. `start` as in
    `DualProblem.backward`. The best value per subproblem is kept, so the result is never below the start.
    """
    params = params.clone()
    n = params.alpha.shape[0]
    free = torch.ones_like(params.alpha) if signs is None else (signs == 0).to(params.alpha.dtype)
    side = None if signs is None else problem.to_arguments(signs).to(params.alpha.dtype)
    mixed = members is not None and bool((members.sum(1) > 1).any())
    moments = {key: [torch.zeros_like(t), torch.zeros_like(t)] for key, t in
               (("alpha", params.alpha), ("beta", params.beta), ("upper", params.upper), ("weights", params.weights))}
    best, kept = torch.full_like(params.alpha[:, 0] if params.alpha.shape[1] else params.weights[:, 0], -torch.inf), \
        params.clone()
    last_gain = torch.zeros(n, device=best.device)
    result: Pass | None = None
    z = v = None
    for step in range(1, options.iterations + 2):
        result = problem.backward(params, signs, start, cuts)
        better = result.bound > best
        last_gain = torch.where(result.bound > best + 1e-4 * best.abs(), step, last_gain)
        best = torch.where(better, result.bound, best)
        rows = better.unsqueeze(1)
        for name in ("alpha", "upper", "beta", "weights"):
            if name == "upper" and not problem.smooth:
                continue
            torch.where(rows, getattr(params, name), getattr(kept, name), out=getattr(kept, name))
        open_ = (best <= enough) & (step - last_gain < options.patience)
        v, z = problem.relaxed_values(result)
        if step > options.iterations or not bool(open_.any()) or expired():
            break
        rate = options.decay ** (step - 1)
        form = result.form[:, problem.network.inputs :]
        gradient = form.clamp(min=0) * free
        if problem.smooth:
            gradient = gradient * problem.gain(z, True, result.lines)
            up = form.clamp(max=0) * free * problem.gain(z, False, result.lines)
            _adam(params.upper, up, moments["upper"], step, options.lr_alpha * rate)
            params.upper.clamp_(0, 1)
        else:
            gradient = gradient * z
        _adam(params.alpha, gradient, moments["alpha"], step, options.lr_alpha * rate)
        params.alpha.clamp_(0, 1)
        if cuts is not None:
            params = replace(params, beta=_step_cuts(params.beta, cuts, z, moments["beta"], step,
                                                     options.lr_beta * rate))
        elif side is not None:
            _adam(params.beta, -side * z, moments["beta"], step, options.lr_beta * rate)
            params.beta.clamp_(min=0)
            params.beta.mul_(side.abs())
        if mixed:
            h = v @ problem.network.row_weight.T + problem.network.row_bias
            _adam(params.weights, h, moments["weights"], step, options.lr_weights * rate)
            params = replace(params, weights=project_to_simplex(params.weights, members))
    return Ascent(best, kept, result.form, z, v)


def _step_cuts(beta: Tensor, cuts: Cuts, z: Tensor, moments: list[Tensor], step: int, rate: float) -> Tensor:
    """One ascent step of multipliers that may change their sign only by way of 0."""
    before = beta.clone()
    gradient = torch.where(torch.isfinite(cuts.low) | torch.isfinite(cuts.high), cuts.gradient(beta, z), 0.0)
    _adam(beta, gradient, moments, step, rate)
    return cuts.legal(torch.where(before * beta < 0, torch.zeros_like(beta), beta))
