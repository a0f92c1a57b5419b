"""Bounder for many inputs: a domain is a set of ReLU signs, bounded by beta-CROWN on the collapsed network.

Every domain belongs to one disjunct of the property and keeps its own dual variables as a warm start. Search runs in
the network's dtype; a domain is closed only by its bound re-evaluated in float64 with all rounding charged
(`DualProblem.rigorous`). Domains whose unstable neurons are all fixed are decided by an LP.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from bab.branching import NeuronView, babsr, best_candidate, candidates, relaxation_gap
from bab.domains import SubproblemBatch
from bab.search import Bounded
from bab.tighten import tighten, tightening_flops
from verify.attack.base import unsafe_points
from verify.bounds.ascent import Ascent, AscentOptions, ascend
from verify.bounds.compact import CompactNetwork
from verify.bounds.dual import DualParams, DualProblem
from verify.bounds.lines import DualLines
from verify.budget import Budget
from verify.ops import Relu
from verify.query import Query
from verify.sets import Interval, entries


@dataclass(frozen=True)
class ReluSplitOptions:
    """`ascent` per domain and round; at most `candidates` neurons are tried by FSB; the bounds of later layers are
    computed again in every domain if that takes at most `tighten_cost` times as long as the ascent; with `evidence` a
    leaf that an LP proves carries the LP's multipliers instead of the ascent's."""

    ascent: AscentOptions = field(default_factory=lambda: AscentOptions(iterations=20, lr_alpha=0.1, lr_beta=0.1))
    candidates: int = 12
    tighten_cost: float = 4.0
    evidence: bool = False


def _charged(problem: DualProblem) -> float:
    """What a rigorous evaluation of a row subtracts, at CROWN's slopes: under float32 semantics more than the errors
    of the rows alone, and an ascent that stops below it closes nothing. 0 where it is not finite."""
    rows = problem.initial(torch.eye(problem.network.row_bias.numel()).to(problem.network.row_bias))
    lost = problem.backward(rows).bound - problem.rigorous(rows)
    return float(lost.nan_to_num(nan=0.0, posinf=0.0).max())


class ReluSplitBounder:
    """`network` in float64 with rigorous errors; `dtype` is what the search computes in."""

    def __init__(self, query: Query, network: CompactNetwork, box: Interval, open_disjuncts: Tensor, dtype: torch.dtype,
                 options: ReluSplitOptions | None = None):
        self.query, self.base = query, box
        self.exact = DualProblem.of(network.to(dtype=torch.float64))
        self.problem = DualProblem.of(network.to(dtype=dtype))
        self.options = options or ReluSplitOptions()
        self.members = query.members.to(network.row_weight.device)
        self.open_disjuncts = open_disjuncts.nonzero().squeeze(1)
        self.splittable = torch.cat([
            torch.full((layer.size,), isinstance(layer.op, Relu), dtype=torch.bool) for layer in network.layers
        ] or [torch.zeros(0, dtype=torch.bool)]).to(network.row_weight.device)
        net = self.problem.network
        self.bias = torch.cat([layer.bias for layer in net.layers] or [net.x_lower[:0]])
        self.lower, self.upper = net.lower, net.upper
        # The float64 check subtracts its error and the search's own rounding is larger still: aim a little above 0.
        scale = net.row_weight.abs() @ net.reach + net.row_bias.abs()
        owners = [torch.full((layer.size,), k) for k, layer in enumerate(network.layers)]
        self.layer_of = torch.cat(owners or [torch.zeros(0, dtype=torch.int64)]).to(self.splittable.device)
        steps = 2 * self.options.ascent.iterations * self.exact.network.flops
        self.tightens = network.relu_only and tightening_flops(self.exact) <= self.options.tighten_cost * steps
        self.enough = 8 * torch.finfo(dtype).eps * float(scale.max()) + 2 * _charged(self.exact)

    def root(self) -> SubproblemBatch:
        weights = self.members[self.open_disjuncts].to(self.lower.dtype)
        n = weights.shape[0]
        # Start from the best single row of each disjunct.
        rows = torch.eye(self.members.shape[1]).to(self.lower)
        singles = self.problem.backward(self.problem.initial(rows)).bound
        best = torch.where(weights > 0, singles.unsqueeze(0), torch.full_like(weights, -torch.inf)).argmax(1)
        # A disjunct without rows has no row to start from: its weights, and with them its bound, stay 0.
        params = self.problem.initial(torch.nn.functional.one_hot(best, weights.shape[1]) * (weights > 0))
        return SubproblemBatch(
            singles.new_full((n,), -torch.inf), torch.zeros_like(best),
            {"signs": torch.zeros_like(params.alpha, dtype=torch.int8), "alpha": params.alpha, "upper": params.upper,
             "beta": params.beta, "weights": params.weights, "disjunct": self.open_disjuncts.clone(),
             "decision": torch.zeros_like(best), "l": self.lower.expand(n, -1).clone(),
             "u": self.upper.expand(n, -1).clone()},
        )

    @torch.no_grad()
    def bound(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        batch, gap = self._tighten(batch)
        params = DualParams(batch.alpha, batch.upper, batch.beta, batch.weights)
        members = self.members[batch.disjunct]
        problem = DualProblem(self.problem.network, DualLines.of(self.problem.network, batch.l, batch.u))
        found = ascend(problem, params, batch.signs, members, self.options.ascent, self.enough,
                       expired=lambda: budget.expired)
        margin = torch.fmax(self._rigorous(found, batch, members), gap)
        lower = torch.fmax(batch.lower, found.bound)
        updated = batch.with_data(lower=lower, alpha=found.params.alpha, upper=found.params.upper,
                                  beta=found.params.beta, weights=found.params.weights)
        free = (batch.signs == 0) & self.splittable & (batch.l < 0) & (batch.u > 0)
        stuck = ~free.any(1)
        open_ = ~(margin > 0)
        undecided = (open_ & ~stuck).nonzero().squeeze(1)
        if undecided.numel():
            decision = self._decide(updated[undecided], problem, found, undecided, free[undecided])
            updated = updated.with_data(decision=updated.decision.index_copy(0, undecided, decision))
        return Bounded(updated, margin, stuck, self._points(found, open_))

    def _tighten(self, batch: SubproblemBatch) -> tuple[SubproblemBatch, Tensor]:
        """The batch with the bounds above each domain's last split computed again, and the proved gaps (n,)."""
        gap = batch.lower.new_full((len(batch),), -torch.inf, dtype=torch.float64)
        if not self.tightens or not bool((batch.depth > 0).any()):
            return batch, gap
        changed = torch.where(batch.depth > 0, self.layer_of[batch.decision], len(self.exact.network.layers))
        found = tighten(self.exact, batch.l.double(), batch.u.double(), batch.signs, changed)
        outer = Interval(found.lower, found.upper).to(dtype=batch.l.dtype)
        return batch.with_data(l=outer.lower, u=outer.upper), found.gap

    def _rigorous(self, found: Ascent, batch: SubproblemBatch, members: Tensor) -> Tensor:
        """float64 bounds of the domains that look proved; the others count as not proved. Only rows of a domain's own
        disjunct (`members` (n, r)) can prove it, whatever weights the optimiser returned."""
        margin = torch.full_like(found.bound, -torch.inf, dtype=torch.float64)
        good = (found.bound > 0).nonzero().squeeze(1)
        if good.numel():
            params = found.params[good].to(torch.float64)
            params = replace(params, weights=params.weights * members[good])
            net = self.exact.network
            exact = DualProblem(net, DualLines.of(net, batch.l[good].double(), batch.u[good].double()))
            margin[good] = exact.rigorous(params, batch.signs[good])
        return margin

    def _decide(self, batch: SubproblemBatch, problem: DualProblem, found: Ascent, rows: Tensor, free: Tensor
                ) -> Tensor:
        """The neuron each domain splits next (n,); `rows` are the domains' places in `found`."""
        view = NeuronView(found.form[rows][:, self.problem.network.inputs :], found.z[rows], batch.alpha,
                          batch.l.clamp(max=0), batch.u.clamp(min=0), self.bias)
        picks = candidates((babsr(view), relaxation_gap(view)), free, self.layer_of, self.options.candidates)
        params = DualParams(batch.alpha, batch.upper, batch.beta, batch.weights)

        def child_bounds(domains: Tensor, neurons: Tensor, sign: int) -> Tensor:
            signs = batch.signs[domains].scatter(1, neurons.unsqueeze(1), sign)
            own = DualProblem(problem.network, problem.lines[rows[domains]])
            return own.backward(params[domains], signs).bound

        return best_candidate(picks, free, batch.lower, child_bounds)

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
        """First the children with z >= 0, then those with z <= 0."""
        decision = batch.decision.unsqueeze(1)
        return batch.split({"signs": batch.signs.scatter(1, decision, 1)},
                           {"signs": batch.signs.scatter(1, decision, -1)})

    def decide_stuck(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        """Every ReLU is fixed: the domain is an LP (up to S-shaped neurons, whose relaxation stays)."""
        from verify.lp.leaf import decide_leaf  # the solver is loaded only when a leaf needs it

        margins, points, proofs = [], [], {}
        # A neuron that the domain's own bounds make stable is as good as split; left open the LP would relax it.
        stable = (batch.l >= 0).to(torch.int8) - ((batch.u <= 0) & (batch.l < 0)).to(torch.int8)
        signs = torch.where((batch.signs == 0) & self.splittable, stable, batch.signs).cpu().numpy()
        for k in range(len(batch)):
            rows = self.members[int(batch.disjunct[k])].nonzero().squeeze(1).tolist()
            if budget.expired:
                margins.append(float("-inf"))
                continue
            leaf = decide_leaf(self.exact.network, rows, signs[k], budget.remaining, evidence=self.options.evidence)
            margins.append(leaf.bound)
            if leaf.params is not None:
                proofs[k] = leaf.params
            if leaf.candidate is not None:
                points.append(self._embed(torch.from_numpy(leaf.candidate).reshape(1, -1)))
        found = unsafe_points(self.query, torch.cat(points)) if points else None
        bounds = torch.tensor(margins, dtype=torch.float64, device=batch.lower.device)
        return Bounded(_with_proofs(batch, signs, proofs), bounds, torch.ones_like(bounds, dtype=torch.bool), found)


def _with_proofs(batch: SubproblemBatch, signs: np.ndarray, proofs: dict[int, DualParams]) -> SubproblemBatch:
    """The batch with the dual parameters of the domains that have a proof, and the signs (n, u) it speaks about."""
    if not proofs:
        return batch
    at = torch.tensor(list(proofs), device=batch.lower.device)
    changed = {name: batch.data[name].index_copy(0, at, torch.cat([getattr(p, name) for p in proofs.values()]).to(
        batch.data[name])) for name in ("alpha", "upper", "beta", "weights")}
    fixed = torch.from_numpy(signs).to(batch.signs)
    return batch.with_data(signs=batch.signs.index_copy(0, at, fixed[at]), **changed)
