"""Linear enclosures of nonlinear primitives.

A relaxation gives two lines per neuron with `lower line <= f(z) <= upper line` for every z in the pre-activation
interval. Lines carry their own rounding: intercepts are moved outward so that the enclosure holds for the slopes and
intercepts exactly as stored.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Lines:
    """lower_slope z + lower_intercept <= f(z) <= upper_slope z + upper_intercept, each (n, *shape) or (n, r, *shape)
    when rows have lines of their own; the sides may differ in that."""

    lower_slope: Tensor
    lower_intercept: Tensor | None
    upper_slope: Tensor
    upper_intercept: Tensor

    def pull_back(self, coeff: Tensor) -> tuple[Tensor, Tensor]:
        """Rows on f(z), (n, r, *shape), to rows on z that are below them: positive coefficients take the lower line,
        negative ones the upper line. Returns (coefficients, offset (n, r))."""
        def rows(line: Tensor) -> Tensor:
            return line if line.dim() == coeff.dim() else line.unsqueeze(1)

        negative = coeff.clamp(max=0)
        positive = coeff - negative
        offset = _row_sums(negative, rows(self.upper_intercept))
        if self.lower_intercept is not None:
            offset = offset + _row_sums(positive, rows(self.lower_intercept))
        # In place where possible: these are the largest tensors of a pass, and memory traffic is what it costs.
        return (positive * rows(self.lower_slope)).addcmul_(negative, rows(self.upper_slope)), offset


def _row_sums(coeff: Tensor, line: Tensor) -> Tensor:
    """sum over the neurons of coeff * line, (n, r): a matrix product when all rows share the line."""
    if line.shape[1] > 1:
        return (coeff * line).flatten(2).sum(2)
    return (coeff.flatten(2) @ line.flatten(2).transpose(1, 2)).squeeze(2)
