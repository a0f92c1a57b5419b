"""Rows of affine functions of one node, and their minimum over a box.

Only lower bounds of linear forms travel backwards: upper bounds are lower bounds of the negated rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from verify.sets import Interval, entries, gamma, underflow


@dataclass(frozen=True)
class LinearForm:
    """row value >= coeff . x + offset - error for every x in the set that the form was derived for.

    `coeff` (n, r, *shape), `offset` (n, r); `error` (n, r) bounds what rounding may have added to the other two,
    None where nobody asked for it.
    """

    coeff: Tensor
    offset: Tensor
    error: Tensor | None = None

    def minimum(self, box: Interval) -> Tensor:
        """min over the box (n, *shape): coeff . center - |coeff| . radius + offset, a lower bound (n, r).

        With `error`, rounding of this sum is charged as well and the result is rigorous.
        """
        coeff = entries(self.coeff, 2)
        center = entries(box.center, 1)
        radius = (entries(box.upper, 1) - center).maximum(center - entries(box.lower, 1))
        bound = (coeff @ center.unsqueeze(2) - coeff.abs() @ radius.unsqueeze(2)).squeeze(2) + self.offset
        if self.error is None:
            return bound
        reach = entries(box.magnitude, 1) + radius
        unit = gamma(2 * coeff.shape[2], coeff.dtype)
        own = unit * (coeff.detach().abs() @ reach.unsqueeze(2)).squeeze(2) + gamma(2, coeff.dtype) * self.offset.abs()
        bound = bound - own.detach() - self.error - underflow(coeff.dtype) * (1 + reach.detach().sum(1, keepdim=True))
        return torch.where(torch.isfinite(bound), bound, -torch.inf)  # no number is no bound
