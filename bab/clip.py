"""What the linear lower bounds of the rows say about a box besides their minima.

h_r(x) >= A_r x + b_r - e_r on the box. A counterexample of a disjunct needs every row h_r <= 0, hence
A_r x + b_r <= e_r for all its rows. `joint_bounds` looks for a convex combination of the rows that is positive on the
box (LP duality);
`clip_boxes` shrinks the box to the points that satisfy each row alone (Clip-and-Verify, 2025). Both are rigorous: sums
are charged with their rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from verify.bounds.ascent import project_to_simplex
from verify.linear_form import LinearForm
from verify.sets import Interval, gamma, underflow

STEPS = 12


def joint_bounds(form: LinearForm, lower: Tensor, upper: Tensor, members: Tensor, margins: Tensor, open_: Tensor
                 ) -> Tensor:
    """Margins (n, d) raised by combining rows. `form` over the varying inputs (n, r, i), boxes (n, i), members (d, r),
    `open_` (n, d). Supergradient ascent on the concave function w -> min over the box of sum_r w_r (A_r x + b_r)."""
    many = members.sum(1) > 1
    where = (open_ & (margins <= 0) & many.unsqueeze(0)).nonzero()
    if not where.numel():
        return margins
    n, d = where[:, 0], where[:, 1]
    box = Interval(lower[n], upper[n])
    coeff, offset, support = form.coeff[n], form.offset[n], members[d]
    known = form.error.expand_as(form.offset)[n]
    center, radius = box.center, (box.upper - box.lower) / 2
    weights = support.to(coeff.dtype) / support.sum(1, keepdim=True)
    best, best_weights = torch.full_like(offset[:, 0], -torch.inf), weights
    scale = (coeff.abs() * radius.unsqueeze(1)).sum(2).amax(1, keepdim=True).clamp(min=1e-30)
    for step in range(STEPS):
        combined = torch.einsum("kr,kri->ki", weights, coeff)
        corner = center - radius * combined.sign()
        values = torch.einsum("kri,ki->kr", coeff, corner) + offset
        bound = (weights * values).sum(1)
        better = bound > best
        best = torch.where(better, bound, best)
        best_weights = torch.where(better.unsqueeze(1), weights, best_weights)
        weights = project_to_simplex(weights + values / scale / (1 + step), support)
    w = best_weights.unsqueeze(1)
    unit = gamma(2 * support.shape[1], coeff.dtype)
    size = w @ coeff.abs()
    error = (w @ known.unsqueeze(2)).squeeze(2) * (1 + unit) + unit * (
        (size @ box.magnitude.unsqueeze(2)).squeeze(2) + (w @ offset.abs().unsqueeze(2)).squeeze(2))
    joined = LinearForm(w @ coeff, (w @ offset.unsqueeze(2)).squeeze(2), error)
    found = joined.minimum(box).squeeze(1).nan_to_num(nan=-torch.inf)
    # The weights sum to 1 only up to rounding; a positive combination with any non-negative weights is a proof.
    result = margins.clone()
    result[n, d] = torch.maximum(margins[n, d], found)
    return result


def clip_boxes(form: LinearForm, lower: Tensor, upper: Tensor, members: Tensor, open_: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (n, i) that still contain every counterexample of an open disjunct (n, d): the hull over the open disjuncts
    of the intersection over their rows. Where the clipped box is empty the old one is kept (the margins decide)."""
    coeff, center = form.coeff, lower + (upper - lower) / 2
    reach = torch.maximum(lower.abs(), upper.abs())
    least = torch.minimum(coeff * lower.unsqueeze(1), coeff * upper.unsqueeze(1))
    total = least.sum(2, keepdim=True)
    size = (coeff.abs() * reach.unsqueeze(1)).sum(2, keepdim=True) + form.offset.abs().unsqueeze(2)
    charge = gamma(2 * coeff.shape[2] + 8, coeff.dtype) * size + form.error.expand_as(form.offset).unsqueeze(2)
    charge = charge + underflow(coeff.dtype) * (1 + reach.sum(1)).reshape(-1, 1, 1)
    # A_i x_i <= -(b + sum of the others' minima), enlarged by every rounding.
    room = -form.offset.unsqueeze(2) - (total - least) + charge
    limit = room / coeff
    limit = limit + gamma(4, coeff.dtype) * limit.abs() * coeff.sign()
    row_high = torch.where(coeff > 0, limit, torch.inf)
    row_low = torch.where(coeff < 0, limit, -torch.inf)
    hull_low, hull_high = torch.full_like(lower, torch.inf), torch.full_like(upper, -torch.inf)
    for d in range(members.shape[0]):
        low, high = lower, upper
        if bool(members[d].any()):
            low = torch.maximum(lower, row_low[:, members[d]].amax(1).nan_to_num(nan=-torch.inf))
            high = torch.minimum(upper, row_high[:, members[d]].amin(1).nan_to_num(nan=torch.inf))
        use = open_[:, d].unsqueeze(1)
        hull_low = torch.where(use, torch.minimum(hull_low, low), hull_low)
        hull_high = torch.where(use, torch.maximum(hull_high, high), hull_high)
    sane = (hull_low <= hull_high).all(1, keepdim=True) & torch.isfinite(center).all(1, keepdim=True)
    return torch.where(sane, hull_low, lower), torch.where(sane, hull_high, upper)
