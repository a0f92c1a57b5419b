"""alpha/beta-CROWN on the compacted network: the dual bound of many subproblems at once, with hand-written gradients.

A subproblem fixes the signs of some unstable ReLUs. Its dual variables are, per neuron, the position of the lower line
between two sound ones (alpha; for ReLU the slope itself), the same for the upper line of other neurons, a multiplier
beta >= 0 for a split ReLU, and convex weights over the rows of a disjunct. Any values are sound: with a the coefficient
that arrives on y_k,

    unsplit:  a y >= s z + t,  s = a+ lower_slope + a- upper_slope,  t = a+ lower_intercept + a- upper_intercept
    active:   a y  = (a - beta) z + beta z >= (a - beta) z           (z >= 0)
    inactive: a y  = 0 >= beta z                                     (z <= 0)

and the bound is the minimum over the input box of what is left at the bottom. Of a curve only the slope is free: the
intercept t(s) is the best one for it (`verify.relaxations.curve`). A product has a slope for each argument. Cuts of
the range of any z (GenBaB, Shi et al. 2025) come as `Cuts`: low <= z <= high, and a multiplier beta of either sign,

    s z >= (s - beta) z + beta+ low + beta- high.

The gradient needs no graph (envelope theorem): let x* be the minimising corner and z, y the values of the *relaxed*
network there (each neuron on the line its coefficient selects); then d bound / d lower_slope_k = a_k+ (z_k + t'(s)),
d bound / d beta_k = -sign_k z_k (low - z, high - z), and d bound / d weight_r = h_r. Sources: beta-CROWN (Wang et al.
2021), alpha-CROWN (Xu et al. 2021).

Letters: n subproblems, u unstable neurons of all layers, z their arguments, s readings of arguments by neurons (all
three the same unless a neuron has two arguments or shares one), r rows, w = inputs + u entries of v.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from verify.bounds.compact import CompactLayer, CompactNetwork
from verify.bounds.lines import Cuts, DualLines, UsedLines
from verify.ops import Curve
from verify.relaxations.curve import support
from verify.sets import gamma, underflow

SPARSE = 512
"""Layers of at least this many neurons are looked at for columns that a chunk of rows does not use."""


@dataclass(frozen=True, eq=False)
class DualParams:
    """`alpha`, `upper` (n, u) in [0, 1]; `beta` (n, z) >= 0, zero on unsplit neurons (of `Cuts`: of either sign);
    `weights` (n, r) convex."""

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
    `slopes` (n, z) the coefficients handed to z, `offset` (n,), and the lines that it used."""

    bound: Tensor
    form: Tensor
    slopes: Tensor
    offset: Tensor
    lines: UsedLines


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

    @cached_property
    def plain(self) -> bool:
        """Every neuron reads one argument of its own: u, s and z are the same places."""
        return all(layer.reads is None for layer in self.network.layers)

    @cached_property
    def owner(self) -> Tensor:
        """(s,): the neuron of every reading."""
        parts = [torch.arange(span.u.start, span.u.stop).repeat(span.layer.arity) for span in self.network.spans]
        return torch.cat(parts).to(self.network.row_bias.device)

    @cached_property
    def read(self) -> Tensor:
        """(s,): the argument of every reading."""
        parts = [torch.arange(layer.size, device=self.network.row_bias.device) + z.start if layer.reads is None
                 else layer.reads.flatten() + z.start for layer, _, _, z in self.network.spans]
        return torch.cat(parts)

    def to_readings(self, x: Tensor) -> Tensor:
        """(n, u) -> (n, s): every reading's neuron."""
        return x if self.plain else x[..., self.owner]

    def to_neurons(self, x: Tensor) -> Tensor:
        """(n, s) -> (n, u): the sum over every neuron's readings."""
        if self.plain:
            return x
        return x.new_zeros(*x.shape[:-1], self.network.unstable).index_add_(-1, self.owner, x)

    def arguments_read(self, x: Tensor) -> Tensor:
        """(n, z) -> (n, s): the argument of every reading."""
        return x if self.plain else x[..., self.read]

    def to_arguments(self, x: Tensor) -> Tensor:
        """(n, u) -> (n, z), for marks of neurons that read one argument of their own; 0 elsewhere."""
        if self.plain:
            return x
        alone = torch.cat([torch.full((span.layer.size,), span.layer.reads is None) for span in self.network.spans])
        at = torch.cat([torch.arange(z.start, z.start + layer.size) for layer, _, _, z in self.network.spans
                        if layer.reads is None] or [torch.zeros(0, dtype=torch.int64)]).to(x.device)
        out = x.new_zeros(*x.shape[:-1], self.network.arguments)
        out[..., at] = x[..., alone.to(x.device)]
        return out

    def initial(self, weights: Tensor) -> DualParams:
        """CROWN's choice for subproblems with the given row weights (n, r)."""
        n, net = weights.shape[0], self.network
        alpha, upper = (side.expand(n, net.unstable).clone() for side in (self.lines.start, self.lines.start_upper))
        return DualParams(alpha, upper, alpha.new_zeros(n, net.arguments), weights.to(alpha.dtype))

    def used_lines(self, params: DualParams, signs: Tensor | None) -> UsedLines:
        """The lines of every subproblem, splits applied."""
        lines = self.lines
        if self.smooth:
            return self._split(self._smooth_lines(params), signs)
        lower = lines.lower_slope + params.alpha * lines.lower_slope_step
        return self._split(UsedLines(lower, None, lines.upper_slope, lines.upper_intercept), signs)

    def _smooth_lines(self, params: DualParams) -> UsedLines:
        lines, inputs = self.lines, (self.to_readings(params.alpha), self.to_readings(params.upper))
        slopes = [lines.lower_slope + inputs[0] * lines.lower_slope_step,
                  lines.upper_slope + inputs[1] * lines.upper_slope_step]
        heights = [lines.lower_intercept + params.alpha * lines.lower_intercept_step,
                   lines.upper_intercept + params.upper * lines.upper_intercept_step]
        gains = [lines.lower_intercept_step.expand_as(heights[0]).clone(),
                 lines.upper_intercept_step.expand_as(heights[1]).clone()]
        for layer, u, s, z in self.network.spans:
            if isinstance(layer.op, Curve):
                ends = (end if end.dim() == 2 else end.unsqueeze(0) for end in (lines.pre_lower, lines.pre_upper))
                (pre,) = layer.pres(*(end[:, z] for end in ends))
                for side, step in enumerate((lines.lower_slope_step, lines.upper_slope_step)):
                    heights[side][:, u], point = support(layer.op, pre, slopes[side][:, s], side == 0)
                    gains[side][:, u] = -point * step[..., s]
        return UsedLines(slopes[0], heights[0], slopes[1], heights[1], *gains)

    def _split(self, used: UsedLines, signs: Tensor | None) -> UsedLines:
        """Exact lines for neurons that are split by their sign."""
        if signs is None:
            return used
        split, exact = signs != 0, (signs > 0).to(used.lower.dtype)
        cut, zero = self.to_readings(split), torch.zeros_like(exact)
        active = self.to_readings(exact)
        return replace(
            used, lower=torch.where(cut, active, used.lower), upper=torch.where(cut, active, used.upper),
            above=torch.where(split, zero, used.above),
            below=None if used.below is None else torch.where(split, zero, used.below))

    def backward(self, params: DualParams, signs: Tensor | None = None, start: tuple[Tensor, Tensor] | None = None,
                 cuts: Cuts | None = None) -> Pass:
        """The dual bound of every subproblem at these parameters. `start`: rows (n, w) and offsets (n,) to bound
        instead of the network's weighted rows."""
        net = self.network
        if start is None:
            form, offset = params.weights @ net.row_weight, params.weights @ net.row_bias
        else:
            form, offset = start[0].clone(), start[1].clone()
        used = self.used_lines(params, signs)
        slopes = torch.zeros_like(params.beta)
        pull = None
        if cuts is not None:
            pull = params.beta
            offset += cuts.offset(pull).sum(1)
        elif signs is not None:
            pull = params.beta * self.to_arguments(signs).to(params.beta.dtype)
        for layer, u, s, z in reversed(net.spans):
            if pull is None and layer.size >= SPARSE and layer.reads is None:
                # Rows of neighbouring neurons of a convolution read few neurons: the others' coefficients are all 0.
                some = form[:, layer.columns].any(0).nonzero().squeeze(1)
                if 2 * some.numel() < layer.size:
                    self._few(layer, some, form, offset, slopes, (used, u, s, z))
                    continue
            a = form[:, layer.columns]
            positive = a.clamp(min=0)
            negative = a - positive
            offset += (negative * used.above[..., u]).sum(1)
            if used.below is not None:
                offset += (positive * used.below[..., u]).sum(1)
            if layer.arity > 1:
                positive, negative = positive.repeat(1, layer.arity), negative.repeat(1, layer.arity)
            passed = positive * used.lower[..., s]
            passed += negative * used.upper[..., s]
            if layer.reads is not None:
                passed = passed.new_zeros(len(passed), layer.bias.numel()).index_add_(1, layer.reads.flatten(), passed)
            if pull is not None:
                passed -= pull[:, z]
            offset += passed @ layer.bias
            form[:, : layer.start].addmm_(passed, layer.weight)
            slopes[:, z] = passed
        x = form[:, : net.inputs]
        bound = offset + x @ self.center - x.abs() @ self.radius
        return Pass(bound, form, slopes, offset, used)

    def _few(self, layer: CompactLayer, some: Tensor, form: Tensor, offset: Tensor, slopes: Tensor,
             place: tuple[UsedLines, slice, slice, slice]) -> None:
        """One layer's part of `backward`, in place, for the listed neurons only."""
        used, u, s, z = place
        lower, upper = (line.expand(len(form), -1)[:, some + s.start] for line in (used.lower, used.upper))
        below, above = (None if line is None else line.expand(len(form), -1)[:, some + u.start]
                        for line in (used.below, used.above))
        a = form[:, some + layer.start]
        positive = a.clamp(min=0)
        negative = a - positive
        passed = positive * lower + negative * upper
        offset += (negative * above).sum(1)
        if below is not None:
            offset += (positive * below).sum(1)
        offset += passed @ layer.bias[some]
        form[:, : layer.start].addmm_(passed, layer.weight[some])
        slopes[:, some + z.start] = passed

    def relaxed_values(self, done: Pass) -> tuple[Tensor, Tensor]:
        """(v (n, w), z (n, z)): the relaxed network at the minimising corner of `done`."""
        net, used = self.network, done.lines
        v, arguments = torch.empty_like(done.form), torch.empty_like(done.slopes)
        v[:, : net.inputs] = self.center - self.radius * torch.sign(done.form[:, : net.inputs])
        for layer, u, s, z in net.spans:
            value = torch.addmm(layer.bias, v[:, : layer.start], layer.weight.T)
            on_lower = done.form[:, layer.columns] >= 0
            many = on_lower if layer.arity == 1 else on_lower.repeat(1, layer.arity)
            read = value if layer.reads is None else value[:, layer.reads.flatten()]
            y = torch.where(many, used.lower[..., s], used.upper[..., s]) * read
            if layer.arity > 1:
                y = y.reshape(len(y), layer.arity, -1).sum(1)
            shift = torch.zeros_like(used.above[..., u]) if used.below is None else used.below[..., u]
            v[:, layer.columns] = y + torch.where(on_lower, shift, used.above[..., u])
            arguments[:, z] = value
        return v, arguments

    def gain(self, z: Tensor, lower: bool, used: UsedLines) -> Tensor:
        """(n, u): what one unit of position raises the lower (upper) line of every neuron by, at the arguments z."""
        step = self.lines.lower_slope_step if lower else self.lines.upper_slope_step
        return self.to_neurons(self.arguments_read(z) * step) + (used.lower_gain if lower else used.upper_gain)

    def _start_charge(self, weight: Tensor, bias: Tensor) -> Tensor:
        """What rows (n, w), given instead of the network's own, lose while the layers' rows are added to them: (n,)."""
        net = self.network
        unit = gamma(net.width + 4 * len(net.layers) + 2, weight.dtype)
        return unit * (weight.abs() @ net.reach[: weight.shape[1]] + bias.abs())

    def rigorous(self, params: DualParams, signs: Tensor | None = None, start: tuple[Tensor, Tensor] | None = None,
                 start_error: Tensor | None = None, cuts: Cuts | None = None) -> Tensor:
        """`backward`'s bound minus everything that rounding can have added: (n,), NaN where a value is not finite.

        Charged per coefficient: the errors of the matrices over the box, the products and sums of this pass (any
        order), the offsets, and the final minimum. Parameters are first projected to their legal range, so the result
        holds whatever the optimiser did.
        """
        beta = params.beta.clamp(min=0) if cuts is None else cuts.legal(params.beta)
        legal = DualParams(params.alpha.clamp(0, 1), params.upper.clamp(0, 1), beta, params.weights.clamp(min=0))
        done = self.backward(legal, signs, start, cuts)
        neuron, row, x = self.row_charges
        dtype = done.bound.dtype
        error = done.slopes.abs() @ neuron + done.form[:, : self.network.inputs].abs() @ x
        error = error + (legal.weights @ row if start is None else start_error + self._start_charge(*start))
        error = error + underflow(dtype) * (1 + self.network.reach.sum())
        if self.network.unstable:
            pre = torch.maximum(self.network.lower.abs(), self.network.upper.abs()) + 1
            # The lines of a neuron are at most this far from 0, and so are the products that make them up.
            heights = done.lines.above.abs() + (0 if done.lines.below is None else done.lines.below.abs())
            reach = self.to_neurons((self.lines.steepness + 1) * self.arguments_read(pre)) + heights
            unit = gamma(self.network.unstable + self.network.readings + 16, dtype)
            error = error + unit * (done.form[:, self.network.inputs :].abs() * reach).sum(1)
            error = error + unit * ((done.slopes.abs() + beta.abs()) * pre).sum(1) + underflow(dtype) * reach.sum(-1)
        error = error + gamma(len(self.network.layers) * 4 + 8, dtype) * (done.offset.abs() + done.bound.abs())
        bound = done.bound - error * (1 + gamma(self.network.width, dtype))
        return torch.where(torch.isfinite(bound), bound, torch.full_like(bound, torch.nan))
