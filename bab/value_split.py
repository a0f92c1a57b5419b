"""Bounder for networks with curves and products: a domain is a range of every neuron's arguments (GenBaB).

A split cuts the range [l, u] of one argument z at a point p: in the children the lines of that neuron hold on [l, p]
or [p, u], and z <= p or z >= p takes part in the bound with a multiplier (`verify.bounds.dual.Cuts`), without which a
split of one factor of a product gains little. ReLUs are cut at 0, everything else in the middle. The bounds of later
layers are computed again where that is cheap (`bab.tighten`). Domains are closed only by their bound re-evaluated in
float64 with all rounding charged. Source: Shi et al. 2025, "Neural network verification with branch-and-bound for
general nonlinearities".
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from bab.branching import best_candidate, candidates
from bab.domains import SubproblemBatch
from bab.search import Bounded
from bab.tighten import tighten, tightening_flops
from verify.attack.base import unsafe_points
from verify.bounds.ascent import Ascent, AscentOptions, ascend
from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.lines import Cuts, DualLines
from verify.budget import Budget
from verify.ops import Relu
from verify.query import Query
from verify.sets import Interval, entries

NARROW = 1e-9
"""Ranges narrower than this, relative to their numbers, are not cut: rounding would decide."""


@dataclass(frozen=True)
class ValueSplitOptions:
    """`ascent` per domain and round; `candidates` cuts are tried on every domain; the bounds of later layers are
    computed again in every domain if that takes at most `tighten_cost` times as long as the ascent."""

    ascent: AscentOptions = field(default_factory=lambda: AscentOptions(iterations=20, lr_alpha=0.1, lr_beta=0.1))
    candidates: int = 8
    tighten_cost: float = 4.0


class ValueSplitBounder:
    """`network` in float64 with rigorous errors; the search computes in float64, too: curves bend too much for less."""

    def __init__(self, query: Query, network: CompactNetwork, box: Interval, open_disjuncts: Tensor,
                 options: ValueSplitOptions | None = None):
        self.query, self.base = query, box
        self.problem = DualProblem.of(network.to(dtype=torch.float64))
        self.options = options or ValueSplitOptions()
        device = network.row_weight.device
        self.members = query.members.to(device)
        self.open_disjuncts = open_disjuncts.nonzero().squeeze(1)
        net = self.problem.network
        self.relu = torch.cat([torch.full((layer.bias.numel(),), isinstance(layer.op, Relu)) for layer in net.layers]
                              or [torch.zeros(0, dtype=torch.bool)]).to(device)
        self.layer_of = torch.cat([torch.full((layer.bias.numel(),), k) for k, layer in enumerate(net.layers)]
                                  or [torch.zeros(0, dtype=torch.int64)]).to(device)
        steps = 2 * self.options.ascent.iterations * net.flops
        self.tightens = tightening_flops(self.problem) <= self.options.tighten_cost * steps

    def root(self) -> SubproblemBatch:
        weights = self.members[self.open_disjuncts].double()
        n, net = weights.shape[0], self.problem.network
        rows = torch.eye(self.members.shape[1]).to(net.row_bias)
        singles = self.problem.backward(self.problem.initial(rows)).bound
        best = torch.where(weights > 0, singles.unsqueeze(0), torch.full_like(weights, -torch.inf)).argmax(1)
        params = self.problem.initial(torch.nn.functional.one_hot(best, weights.shape[1]) * (weights > 0))
        unlimited = net.lower.new_full((n, net.arguments), torch.inf)
        return SubproblemBatch(
            singles.new_full((n,), -torch.inf), torch.zeros_like(best),
            {"l": net.lower.expand(n, -1).clone(), "u": net.upper.expand(n, -1).clone(), "low": -unlimited,
             "high": unlimited, "alpha": params.alpha, "upper": params.upper, "beta": params.beta,
             "weights": params.weights, "disjunct": self.open_disjuncts.clone(), "decision": torch.zeros_like(best)})

    @torch.no_grad()
    def bound(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        batch, gap = self._tighten(batch)
        problem, cuts, members = self._problem(batch), Cuts(batch.low, batch.high), self.members[batch.disjunct]
        params = DualParams(batch.alpha, batch.upper, batch.beta, batch.weights)
        found = ascend(problem, params, None, members, self.options.ascent, self._enough(problem, params, cuts),
                       expired=lambda: budget.expired, cuts=cuts)
        margin = torch.fmax(self._rigorous(problem, found, cuts, members), gap)
        updated = batch.with_data(lower=torch.fmax(batch.lower, found.bound), alpha=found.params.alpha,
                                  upper=found.params.upper, beta=found.params.beta, weights=found.params.weights)
        free = self._free(batch)
        stuck, open_ = ~free.any(1), ~(margin > 0)
        undecided = (open_ & ~stuck).nonzero().squeeze(1)
        if undecided.numel():
            decision = self._decide(updated[undecided], problem, found, undecided, free[undecided])
            updated = updated.with_data(decision=updated.decision.index_copy(0, undecided, decision))
        return Bounded(updated, margin, stuck, self._points(found, open_))

    def _problem(self, batch: SubproblemBatch) -> DualProblem:
        return DualProblem(self.problem.network, DualLines.of(self.problem.network, batch.l, batch.u))

    def _enough(self, problem: DualProblem, params: DualParams, cuts: Cuts) -> float:
        """Twice what the rigorous evaluation subtracts: an ascent that stops below it closes nothing."""
        lost = problem.backward(params, cuts=cuts).bound - problem.rigorous(params, cuts=cuts)
        return 2 * float(lost.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0).max())

    def _tighten(self, batch: SubproblemBatch) -> tuple[SubproblemBatch, Tensor]:
        """The batch with the bounds above each domain's last split computed again, and the proved gaps (n,)."""
        gap = batch.lower.new_full((len(batch),), -torch.inf)
        if not self.tightens or not bool((batch.depth > 0).any()):
            return batch, gap
        changed = torch.where(batch.depth > 0, self.layer_of[batch.decision], len(self.problem.network.layers))
        found = tighten(self.problem, batch.l, batch.u, None, changed)
        return batch.with_data(l=found.lower, u=found.upper), found.gap

    def _rigorous(self, problem: DualProblem, found: Ascent, cuts: Cuts, members: Tensor) -> Tensor:
        """Rigorous bounds of the domains that look proved; the others count as not proved. Only rows of a domain's own
        disjunct (`members` (n, r)) can prove it, whatever weights the optimiser returned."""
        margin = torch.full_like(found.bound, -torch.inf)
        good = (found.bound > 0).nonzero().squeeze(1)
        if good.numel():
            params = replace(found.params[good], weights=found.params.weights[good] * members[good])
            margin[good] = DualProblem(problem.network, problem.lines[good]).rigorous(params, cuts=cuts[good])
        return margin

    def _free(self, batch: SubproblemBatch) -> Tensor:
        """(n, z): the arguments whose range can be cut."""
        middle = self._points_of_cut(batch.l, batch.u)
        room = NARROW * (1 + torch.maximum(batch.l.abs(), batch.u.abs()))
        inside = (batch.l < middle) & (middle < batch.u)
        return inside & (self.relu | (batch.u - batch.l > room))

    def _points_of_cut(self, l: Tensor, u: Tensor) -> Tensor:
        return torch.where(self.relu, torch.zeros_like(l), l + (u - l) / 2)

    def _decide(self, batch: SubproblemBatch, problem: DualProblem, found: Ascent, rows: Tensor, free: Tensor
                ) -> Tensor:
        """The argument each domain cuts next (n,); `rows` are the domains' places in `found`."""
        now, widest = self._gaps(problem, found, rows)
        picks = candidates((now, widest), free, self.layer_of, self.options.candidates)
        params = DualParams(batch.alpha, batch.upper, batch.beta, batch.weights)

        def child_bounds(domains: Tensor, arguments: Tensor, sign: int) -> Tensor:
            at = arguments.unsqueeze(1)
            l, u = batch.l[domains], batch.u[domains]
            point = self._points_of_cut(l, u).gather(1, at)
            low, high = batch.low[domains], batch.high[domains]
            if sign > 0:
                l, low = l.scatter(1, at, point), low.scatter(1, at, point)
            else:
                u, high = u.scatter(1, at, point), high.scatter(1, at, point)
            own = DualProblem(problem.network, DualLines.of(problem.network, l, u))
            return own.backward(params[domains], cuts=Cuts(low, high)).bound

        return best_candidate(picks, free, batch.lower, child_bounds)

    def _gaps(self, problem: DualProblem, found: Ascent, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (n, z): the coefficient times the distance between the line in use and the function at the relaxed
        point, and times the largest distance between both lines, for every argument of the neuron."""
        net, lines = problem.network, problem.lines[rows]
        form, z = found.form[rows][:, net.inputs :], found.z[rows]
        v = found.v[rows][:, net.inputs :]
        now, widest = torch.empty_like(z), torch.empty_like(z)
        for layer, u, _, arguments in net.spans:
            pres = layer.pres(lines.pre_lower[:, arguments], lines.pre_upper[:, arguments])
            read = [z[:, arguments]] if layer.reads is None else [z[:, arguments][:, each] for each in layer.reads]
            inside = [x.maximum(pre.lower).minimum(pre.upper) for x, pre in zip(read, pres, strict=True)]
            gap = form[:, u].abs() * (layer.op.evaluate(*inside) - v[:, u]).abs()
            spread = form[:, u].abs() * torch.stack([pre.width for pre in pres]).prod(0)
            if layer.reads is None:
                now[:, arguments], widest[:, arguments] = gap, spread * pres[0].width
                continue
            for target, score in ((now, gap), (widest, spread)):
                # An argument counts for all neurons that read it; halving the wider factor of a product gains more.
                total = torch.zeros_like(target[:, arguments])
                for each, pre in zip(layer.reads, pres, strict=True):
                    total.index_add_(1, each, score * pre.width)
                target[:, arguments] = total
        return now, widest

    def _embed(self, x: Tensor) -> Tensor:
        """Varying inputs (k, i) -> network inputs (k, *input shape); fixed ones at their centre."""
        full = entries(self.base.center, 1).repeat(x.shape[0], 1)
        full[:, self.problem.network.varying] = x.to(full.dtype)
        return full.reshape(x.shape[0], *self.query.graph.input.shape)

    def _points(self, found: Ascent, open_: Tensor) -> Tensor | None:
        worst = torch.where(open_, found.bound, torch.inf).argsort()[:32]
        worst = worst[open_[worst]]
        if not worst.numel():
            return None
        return unsafe_points(self.query, self._embed(found.v[worst][:, : self.problem.network.inputs]))

    def split(self, batch: SubproblemBatch) -> SubproblemBatch:
        """First the children with z >= p, then those with z <= p."""
        at = batch.decision.unsqueeze(1)
        point = self._points_of_cut(batch.l, batch.u).gather(1, at)
        return batch.split({"l": batch.l.scatter(1, at, point), "low": batch.low.scatter(1, at, point)},
                           {"u": batch.u.scatter(1, at, point), "high": batch.high.scatter(1, at, point)})

    def decide_stuck(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        """Every range is too narrow to be cut: nothing more can be proved in this precision."""
        nothing = torch.full_like(batch.lower, -torch.inf)
        return Bounded(batch, nothing, nothing < 0)
