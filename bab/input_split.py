"""Bounder for few varying inputs: a domain is a box, every box gets its own CROWN bounds, boxes are cut in the middle.

Per domain: the box over the varying inputs, the disjuncts that are still open on it, the input to cut next and which
heuristic chose it. A disjunct is closed when one of its rows, or a convex combination of the rows' linear bounds, is
positive on the box. Before cutting, the box is clipped to where the linear bounds allow a counterexample at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bab.branching import BoxView, InputHeuristic, longest_edge, smart_branching
from bab.clip import clip_boxes, joint_bounds
from bab.domains import SubproblemBatch
from bab.search import Bounded
from verify.attack.base import disjunct_margins, unsafe_points
from verify.bounds.crown import KnownLines, crown_bounds, output_form
from verify.bounds.walk import Bounds, charges, forward
from verify.budget import Budget
from verify.linear_form import LinearForm
from verify.query import Query
from verify.sets import Interval, entries

HEURISTICS: tuple[InputHeuristic, ...] = (longest_edge, smart_branching)
EXPLORE = 8


@dataclass(eq=False)
class HeuristicChoice:
    """Learns from the instance which heuristic raises the bounds more: a running mean of (child - parent) per
    heuristic; one domain in `EXPLORE` keeps trying the other one."""

    gain: list[float]
    seen: list[int]

    @classmethod
    def fresh(cls) -> HeuristicChoice:
        return cls([0.0] * len(HEURISTICS), [0] * len(HEURISTICS))

    def learn(self, rules: Tensor, gains: Tensor) -> None:
        for rule in range(len(HEURISTICS)):
            mine = gains[(rules == rule) & torch.isfinite(gains)]
            if mine.numel():
                count = min(self.seen[rule], 5000)
                self.gain[rule] = (self.gain[rule] * count + float(mine.sum())) / (count + mine.numel())
                self.seen[rule] += mine.numel()

    def assign(self, count: int, device: torch.device) -> Tensor:
        """Which heuristic each of `count` domains uses, (count,)."""
        best = max(range(len(HEURISTICS)), key=lambda k: self.gain[k])
        rules = torch.full((count,), best, dtype=torch.int64, device=device)
        if min(self.seen) < 64:
            return torch.arange(count, device=device) % len(HEURISTICS)
        rules[::EXPLORE] = (best + 1) % len(HEURISTICS)
        return rules


class InputSplitBounder:
    """`bounds` are the intervals of all nodes on the whole box, from which the rounding charges follow."""

    def __init__(self, query: Query, box: Interval, bounds: Bounds, open_disjuncts: Tensor):
        self.query, self.graph = query, query.graph
        self.bounds, self.charges = bounds, charges(query.graph, bounds)
        # Where a function has no bounds on the whole box (1 / x across 0), only those of a smaller box say anything.
        self.unbounded = not all(bool(torch.isfinite(cost).all()) for cost in self.charges.values())
        self.base = box
        device = box.lower.device
        self.varying = torch.from_numpy(query.varying).to(device)
        self.members = query.members.to(device)
        self.open_disjuncts = open_disjuncts
        low, high = box.lower.flatten(), box.upper.flatten()
        self.lower, self.upper = low[self.varying], high[self.varying]
        self.choice = HeuristicChoice.fresh()

    def root(self) -> SubproblemBatch:
        one = self.lower.unsqueeze(0)
        zero = torch.zeros(1, dtype=torch.int64, device=one.device)
        return SubproblemBatch(
            torch.full_like(one[:, 0], -torch.inf), zero,
            {"x_lower": one.clone(), "x_upper": self.upper.unsqueeze(0).clone(),
             "open": self.open_disjuncts.unsqueeze(0).clone(), "axis": zero,
             "rule": zero - 1},
        )

    def _box(self, batch: SubproblemBatch) -> Interval:
        n = len(batch)
        lower = entries(self.base.lower, 1).repeat(n, 1)
        upper = entries(self.base.upper, 1).repeat(n, 1)
        lower[:, self.varying], upper[:, self.varying] = batch.x_lower, batch.x_upper
        return Interval(lower.reshape(n, *self.graph.input.shape), upper.reshape(n, *self.graph.input.shape))

    @torch.no_grad()
    def bound(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        box = self._box(batch)
        rounding = charges(self.graph, forward(self.graph, box)) if self.unbounded else self.charges
        lines: KnownLines = {}
        bounds = crown_bounds(self.graph, box, charges=rounding, known=self.bounds, lines=lines)
        wanted = (batch.open.any(0).unsqueeze(1) & self.members).any(0).nonzero().squeeze(1)
        if not wanted.numel():
            wanted = wanted.new_zeros(1)  # only disjuncts without rows are open: one row keeps all shapes, proves none
        rows = torch.eye(self.members.shape[1], dtype=box.lower.dtype, device=box.lower.device)[wanted].unsqueeze(0)
        form = output_form(self.graph, bounds, rows, charges=rounding, lines=lines)
        row_lower = torch.fmax(form.minimum(box), bounds[self.graph.output].lower[:, wanted])
        row_lower = row_lower.nan_to_num(-torch.inf, -torch.inf, -torch.inf)
        members = self.members[:, wanted]
        margins = disjunct_margins(row_lower, members)
        x_form = self._on_varying(form, box)
        margins = joint_bounds(x_form, batch.x_lower, batch.x_upper, members, margins, batch.open)
        margins = torch.where(batch.open, margins, torch.full_like(margins, torch.inf))
        margin = margins.amin(1)
        still = batch.open & ~(margins > 0)
        self.choice.learn(batch.rule, (margin.clamp(max=0) - batch.lower))
        lower = torch.maximum(batch.lower, margin)
        x_lower, x_upper = clip_boxes(x_form, batch.x_lower, batch.x_upper, members, still)
        open_rows = (still.unsqueeze(2) & members).any(1)
        rule = self.choice.assign(len(batch), box.lower.device)
        view = BoxView(x_lower, x_upper, self.upper - self.lower, x_form.coeff, row_lower, open_rows)
        axis, stuck = self._axis(view, rule)
        updated = batch.with_data(lower=lower, open=still, x_lower=x_lower, x_upper=x_upper, axis=axis, rule=rule)
        return Bounded(updated, margin, stuck, self._candidates(batch, form, box, margin))

    def _on_varying(self, form: LinearForm, box: Interval) -> LinearForm:
        """The form over the varying inputs only; fixed ones move to the offset with their own width."""
        coeff = entries(form.coeff, 2)
        fixed = torch.ones(coeff.shape[2], dtype=torch.bool, device=coeff.device)
        fixed[self.varying] = False
        inner = coeff[:, :, self.varying]
        if not bool(fixed.any()):
            return LinearForm(inner, form.offset, form.error)
        rest = LinearForm(coeff[:, :, fixed], form.offset, form.error)
        low, high = entries(box.lower, 1)[:, fixed], entries(box.upper, 1)[:, fixed]
        offset = rest.minimum(Interval(low, high))
        return LinearForm(inner, offset, torch.zeros_like(offset))

    def _axis(self, view: BoxView, rule: Tensor) -> tuple[Tensor, Tensor]:
        """(input to cut, stuck): an input is cut only while its middle differs from both ends."""
        middle = view.lower + (view.upper - view.lower) / 2
        cuttable = (view.lower < middle) & (middle < view.upper)
        scores = torch.stack([heuristic(view) for heuristic in HEURISTICS])
        chosen = scores[rule, torch.arange(len(rule), device=rule.device)].nan_to_num(nan=0.0)
        axis = torch.where(cuttable, chosen, torch.full_like(chosen, -torch.inf)).argmax(1)
        return axis, ~cuttable.any(1)

    def _candidates(self, batch: SubproblemBatch, form: LinearForm, box: Interval, margin: Tensor) -> Tensor | None:
        """Centre and minimising corner of the worst domains, if they look unsafe."""
        worst = margin.argsort()[:64]
        worst = worst[margin[worst] <= 0]
        if not worst.numel():
            return None
        part = box[worst]
        coeff = form.coeff[worst].mean(1)
        corners = torch.where(coeff > 0, part.lower, part.upper)
        return unsafe_points(self.query, torch.cat([part.center, corners]))

    def split(self, batch: SubproblemBatch) -> SubproblemBatch:
        axis = batch.axis.unsqueeze(1)
        low, high = batch.x_lower.gather(1, axis), batch.x_upper.gather(1, axis)
        middle = low + (high - low) / 2
        return batch.split({"x_upper": batch.x_upper.scatter(1, axis, middle)},
                           {"x_lower": batch.x_lower.scatter(1, axis, middle)})

    def decide_stuck(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        """A box of neighbouring floats: its corners are candidates, nothing more can be proved in this precision."""
        points = unsafe_points(self.query, torch.cat([self._box(batch).lower, self._box(batch).upper]))
        nothing = torch.full_like(batch.lower, -torch.inf)
        return Bounded(batch, nothing, nothing < 0, points)
