"""alpha/beta-CROWN on the compacted network: the dual bound of many subproblems at once, with hand-written gradients.

A subproblem fixes the signs of some unstable ReLUs. Its dual variables are, per neuron, the position of the lower line
between two sound ones (alpha; for ReLU the slope itself), the same for the upper line of S-shaped neurons, a multiplier
beta >= 0 for a split ReLU, and convex weights over the rows of a disjunct. Any values are sound: with a the coefficient
that arrives on y_k,

    unsplit:  a y >= s z + t,  s = a+ lower_slope + a- upper_slope,  t = a+ lower_intercept + a- upper_intercept
    active:   a y  = (a - beta) z + beta z >= (a - beta) z           (z >= 0)
    inactive: a y  = 0 >= beta z                                     (z <= 0)

and the bound is the minimum over the input box of what is left at the bottom. The gradient needs no graph (envelope
theorem): let x* be the minimising corner and z, y the values of the *relaxed* network there (each neuron on the line
its coefficient selects); then d bound / d lower_slope_k = a_k+ z_k, d bound / d beta_k = -sign_k z_k, and
d bound / d weight_r = h_r. Sources: beta-CROWN (Wang et al. 2021), alpha-CROWN (Xu et al. 2021).

Letters: n subproblems, u unstable neurons of all layers, r rows, w = inputs + u entries of v.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import torch
from torch import Tensor

from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.ops import SShaped
from verify.relaxations.relu import LOWER_SLOPES, chord
from verify.relaxations.s_shaped import exact_intercept, s_shaped_slopes
from verify.sets import Interval, gamma, underflow

SPARSE = 512
"""Layers of at least this many neurons are looked at for columns that a chunk of rows does not use."""


@dataclass(frozen=True, eq=False)
class DualLines:
    """Two lower and two upper lines per unstable neuron; `*_step` leads from the first to the second. Shapes (u,) or
    (n, u). The intercept fields of ReLU's lower lines are zero."""

    lower_slope: Tensor
    lower_slope_step: Tensor
    lower_intercept: Tensor
    lower_intercept_step: Tensor
    upper_slope: Tensor
    upper_slope_step: Tensor
    upper_intercept: Tensor
    upper_intercept_step: Tensor
    start: Tensor

    @classmethod
    def of(cls, network: CompactNetwork, lower: Tensor | None = None, upper: Tensor | None = None) -> DualLines:
        """The lines on the network's own intervals, or on tighter ones (n, u) of n domains."""
        lower = network.lower if lower is None else lower
        upper = network.upper if upper is None else upper
        columns = []
        for layer in network.layers:
            own = slice(layer.start - network.inputs, layer.start - network.inputs + layer.size)
            columns.append(_layer_lines(layer.op, Interval(lower[..., own], upper[..., own])))
        if not columns:
            return cls(*(lower for _ in range(9)))
        return cls(*(torch.cat(parts, -1) for parts in zip(*columns, strict=True)))

    def __getitem__(self, domains: Tensor) -> DualLines:
        """The lines of the listed domains, for lines (n, u)."""
        return DualLines(*(getattr(self, entry.name)[domains] for entry in fields(self)))


def _layer_lines(op, pre: Interval) -> tuple[Tensor, ...]:
    zero = torch.zeros_like(pre.lower)
    if not isinstance(op, SShaped):
        slope, intercept = chord(pre)
        return zero, zero + 1, zero, zero, slope, zero, intercept, zero, LOWER_SLOPES["adaptive"](pre)
    (low0, low1), (up0, up1) = s_shaped_slopes(op, pre)
    low_t0, low_t1 = (exact_intercept(op, pre, s, lower=True) for s in (low0, low1))
    up_t0, up_t1 = (exact_intercept(op, pre, s, lower=False) for s in (up0, up1))
    return low0, low1 - low0, low_t0, low_t1 - low_t0, up0, up1 - up0, up_t0, up_t1 - up_t0, zero


@dataclass(frozen=True, eq=False)
class DualParams:
    """`alpha`, `upper` (n, u) in [0, 1]; `beta` (n, u) >= 0, zero on unsplit neurons; `weights` (n, r) convex."""

    alpha: Tensor
    upper: Tensor
    beta: Tensor
    weights: Tensor

    def __getitem__(self, key) -> DualParams:
        return DualParams(self.alpha[key], self.upper[key], self.beta[key], self.weights[key])

    def to(self, dtype: torch.dtype) -> DualParams:
        return DualParams(self.alpha.to(dtype), self.upper.to(dtype), self.beta.to(dtype), self.weights.to(dtype))

    def clone(self) -> DualParams:
        return DualParams(self.alpha.clone(), self.upper.clone(), self.beta.clone(), self.weights.clone())


@dataclass(frozen=True, eq=False)
class Pass:
    """One backward pass: `bound` (n,), `form` (n, w) the coefficients on v (on x they are the final linear form),
    `slopes` (n, u) the coefficients handed to z, `offset` (n,)."""

    bound: Tensor
    form: Tensor
    slopes: Tensor
    offset: Tensor


@dataclass(frozen=True, eq=False)
class DualProblem:
    """A compacted network with its lines, ready for passes in the network's dtype."""

    network: CompactNetwork
    lines: DualLines

    @classmethod
    def of(cls, network: CompactNetwork) -> DualProblem:
        return cls(network, DualLines.of(network))

    @cached_property
    def center(self) -> Tensor:
        return self.network.x_lower + (self.network.x_upper - self.network.x_lower) / 2

    @cached_property
    def radius(self) -> Tensor:
        return torch.maximum(self.network.x_upper - self.center, self.center - self.network.x_lower)

    @cached_property
    def smooth(self) -> bool:
        return not self.network.relu_only

    @cached_property
    def row_charges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Per neuron row, property row and input: what one unit of coefficient adds to the rounding error of a pass
        and of the matrices (see `rigorous`)."""
        net, reach = self.network, self.network.reach
        dtype = net.row_weight.dtype
        unit = gamma(net.width + 4 * len(net.layers) + 2, dtype)
        rows = net.row_error + unit * (net.row_weight.abs() @ reach + net.row_bias.abs())
        neurons = [
            layer.error + unit * (layer.weight.abs() @ reach[: layer.start] + layer.bias.abs()) for layer in net.layers
        ]
        x = gamma(2 * net.inputs, dtype) * (self.center.abs() + self.radius)
        return (torch.cat(neurons) if neurons else reach[:0]), rows, x

    def initial(self, weights: Tensor) -> DualParams:
        """CROWN's choice for subproblems with the given row weights (n, r)."""
        n, u = weights.shape[0], self.network.unstable
        alpha = self.lines.start.expand(n, u).clone()
        zero = alpha.new_zeros(n, u)
        return DualParams(alpha, zero.clone(), zero.clone(), weights.to(alpha.dtype))

    def effective_lines(self, params: DualParams, signs: Tensor | None) -> tuple[Tensor, ...]:
        """(lower slope, lower intercept or None, upper slope, upper intercept) per subproblem, splits applied."""
        lines = self.lines
        lower = lines.lower_slope + params.alpha * lines.lower_slope_step
        upper, intercept, below = lines.upper_slope, lines.upper_intercept, None
        if self.smooth:
            upper = upper + params.upper * lines.upper_slope_step
            intercept = intercept + params.upper * lines.upper_intercept_step
            below = lines.lower_intercept + params.alpha * lines.lower_intercept_step
        if signs is not None:
            split = signs != 0
            exact = (signs > 0).to(lower.dtype)
            lower = torch.where(split, exact, lower)
            upper = torch.where(split, exact, upper)
            intercept = torch.where(split, torch.zeros_like(exact), intercept)
            below = None if below is None else torch.where(split, torch.zeros_like(exact), below)
        return lower, below, upper, intercept

    def backward(self, params: DualParams, signs: Tensor | None = None, start: tuple[Tensor, Tensor] | None = None
                 ) -> Pass:
        """The dual bound of every subproblem at these parameters. `start`: rows (n, w) and offsets (n,) to bound
        instead of the network's weighted rows."""
        net = self.network
        if start is None:
            form, offset = params.weights @ net.row_weight, params.weights @ net.row_bias
        else:
            form, offset = start[0].clone(), start[1].clone()
        lower, below, upper, intercept = self.effective_lines(params, signs)
        slopes = torch.zeros_like(params.alpha)
        pull = None if signs is None else params.beta * signs.to(params.beta.dtype)
        first = net.inputs
        for layer in reversed(net.layers):
            columns = layer.columns
            u = slice(columns.start - first, columns.stop - first)
            if pull is None and layer.size >= SPARSE:
                # Rows of neighbouring neurons of a convolution read few neurons: the others' coefficients are all 0.
                used = form[:, columns].any(0).nonzero().squeeze(1)
                if 2 * used.numel() < layer.size:
                    self._few(layer, used, form, offset, slopes, (lower, below, upper, intercept))
                    continue
            a = form[:, columns]
            positive = a.clamp(min=0)
            negative = a - positive
            s = positive * lower[..., u]
            s += negative * upper[..., u]
            if pull is not None:
                s -= pull[:, u]
            offset += (negative * intercept[..., u]).sum(1)
            if below is not None:
                offset += (positive * below[..., u]).sum(1)
            offset += s @ layer.bias
            form[:, : layer.start].addmm_(s, layer.weight)
            slopes[:, u] = s
        x = form[:, :first]
        bound = offset + x @ self.center - x.abs() @ self.radius
        return Pass(bound, form, slopes, offset)

    def _few(self, layer: CompactLayer, used: Tensor, form: Tensor, offset: Tensor, slopes: Tensor, lines: tuple
             ) -> None:
        """One layer's part of `backward`, in place, for the listed neurons only."""
        at = used + layer.start - self.network.inputs
        lower, below, upper, intercept = (None if line is None else line.expand(len(form), -1)[:, at] for line in lines)
        a = form[:, used + layer.start]
        positive = a.clamp(min=0)
        negative = a - positive
        s = positive * lower + negative * upper
        offset += (negative * intercept).sum(1)
        if below is not None:
            offset += (positive * below).sum(1)
        offset += s @ layer.bias[used]
        form[:, : layer.start].addmm_(s, layer.weight[used])
        slopes[:, at] = s

    def relaxed_values(self, done: Pass, params: DualParams, signs: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(v (n, w), z (n, u)): the relaxed network at the minimising corner of `done`."""
        net = self.network
        lower, below, upper, intercept = self.effective_lines(params, signs)
        v, z = torch.empty_like(done.form), torch.empty_like(done.slopes)
        first = net.inputs
        v[:, :first] = self.center - self.radius * torch.sign(done.form[:, :first])
        for layer in net.layers:
            u = slice(layer.start - first, layer.start - first + layer.size)
            value = torch.addmm(layer.bias, v[:, : layer.start], layer.weight.T)
            on_lower = done.form[:, layer.columns] >= 0
            y = torch.where(on_lower, lower[..., u], upper[..., u]) * value
            shift = torch.zeros_like(intercept[..., u]) if below is None else below[..., u]
            v[:, layer.columns] = y + torch.where(on_lower, shift, intercept[..., u])
            z[:, u] = value
        return v, z

    def _start_charge(self, weight: Tensor, bias: Tensor) -> Tensor:
        """What rows (n, w), given instead of the network's own, lose while the layers' rows are added to them: (n,)."""
        net = self.network
        unit = gamma(net.width + 4 * len(net.layers) + 2, weight.dtype)
        return unit * (weight.abs() @ net.reach[: weight.shape[1]] + bias.abs())

    def rigorous(self, params: DualParams, signs: Tensor | None = None, start: tuple[Tensor, Tensor] | None = None,
                 start_error: Tensor | None = None) -> Tensor:
        """`backward`'s bound minus everything that rounding can have added: (n,), NaN where a value is not finite.

        Charged per coefficient: the errors of the matrices over the box, the products and sums of this pass (any
        order), the offsets, and the final minimum. Parameters are first projected to their legal range, so the result
        holds whatever the optimiser did.
        """
        legal = DualParams(params.alpha.clamp(0, 1), params.upper.clamp(0, 1), params.beta.clamp(min=0),
                           params.weights.clamp(min=0))
        done = self.backward(legal, signs, start)
        neuron, row, x = self.row_charges
        dtype = done.bound.dtype
        error = done.slopes.abs() @ neuron + done.form[:, : self.network.inputs].abs() @ x
        error = error + (legal.weights @ row if start is None else start_error + self._start_charge(*start))
        error = error + underflow(dtype) * (1 + self.network.reach.sum())
        if self.network.unstable:
            heights = self.lines.upper_intercept.abs() + self.lines.lower_intercept.abs()
            pre = torch.maximum(self.network.lower.abs(), self.network.upper.abs()) + heights + 1
            unit = gamma(self.network.unstable, dtype)
            error = error + unit * (done.form[:, self.network.inputs :].abs() * pre).sum(1)
            error = error + unit * (done.slopes.abs() * pre).sum(1) + underflow(dtype) * pre.sum(-1)
        error = error + gamma(len(self.network.layers) * 4 + 8, dtype) * (done.offset.abs() + done.bound.abs())
        bound = done.bound - error * (1 + gamma(self.network.width, dtype))
        return torch.where(torch.isfinite(bound), bound, torch.full_like(bound, torch.nan))


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
           start: tuple[Tensor, Tensor] | None = None, expired=lambda: False) -> Ascent:
    """Maximises the bound of each subproblem; one whose bound exceeds `enough` is finished.

    `members` (n, r): the rows each subproblem may combine; None keeps the weights. `signs` (n, u) int8. `start` as in
    `DualProblem.backward`. The best value per subproblem is kept, so the result is never below the start.
    """
    params = params.clone()
    n = params.alpha.shape[0]
    free = torch.ones_like(params.alpha) if signs is None else (signs == 0).to(params.alpha.dtype)
    side = None if signs is None else signs.to(params.alpha.dtype)
    mixed = members is not None and bool((members.sum(1) > 1).any())
    moments = {key: [torch.zeros_like(t), torch.zeros_like(t)] for key, t in
               (("alpha", params.alpha), ("beta", params.beta), ("upper", params.upper), ("weights", params.weights))}
    best, kept = torch.full_like(params.alpha[:, 0] if params.alpha.shape[1] else params.weights[:, 0], -torch.inf), \
        params.clone()
    last_gain = torch.zeros(n, device=best.device)
    result: Pass | None = None
    z = v = None
    for step in range(1, options.iterations + 2):
        result = problem.backward(params, signs, start)
        better = result.bound > best
        last_gain = torch.where(result.bound > best + 1e-4 * best.abs(), step, last_gain)
        best = torch.where(better, result.bound, best)
        rows = better.unsqueeze(1)
        for name in ("alpha", "upper", "beta", "weights"):
            if name == "upper" and not problem.smooth:
                continue
            torch.where(rows, getattr(params, name), getattr(kept, name), out=getattr(kept, name))
        open_ = (best <= enough) & (step - last_gain < options.patience)
        v, z = problem.relaxed_values(result, params, signs)
        if step > options.iterations or not bool(open_.any()) or expired():
            break
        rate = options.decay ** (step - 1)
        form = result.form[:, problem.network.inputs :]
        lines = problem.lines
        gradient = form.clamp(min=0) * free
        if problem.smooth:
            gradient = gradient * (z * lines.lower_slope_step + lines.lower_intercept_step)
            up = form.clamp(max=0) * free * (z * lines.upper_slope_step + lines.upper_intercept_step)
            _adam(params.upper, up, moments["upper"], step, options.lr_alpha * rate)
            params.upper.clamp_(0, 1)
        else:
            gradient = gradient * z
        _adam(params.alpha, gradient, moments["alpha"], step, options.lr_alpha * rate)
        params.alpha.clamp_(0, 1)
        if side is not None:
            _adam(params.beta, -side * z, moments["beta"], step, options.lr_beta * rate)
            params.beta.clamp_(min=0)
            params.beta.mul_(side.abs())
        if mixed:
            h = v @ problem.network.row_weight.T + problem.network.row_bias
            _adam(params.weights, h, moments["weights"], step, options.lr_weights * rate)
            params = replace(params, weights=project_to_simplex(params.weights, members))
    return Ascent(best, kept, result.form, z, v)
