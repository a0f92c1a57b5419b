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
        positive, negative = coeff.clamp(min=0), coeff.clamp(max=0)

        def rows(line: Tensor) -> Tensor:
            return line if line.dim() == coeff.dim() else line.unsqueeze(1)

        result = positive * rows(self.lower_slope) + negative * rows(self.upper_slope)
        offset = (negative * rows(self.upper_intercept)).flatten(2).sum(2)
        if self.lower_intercept is not None:
            offset = offset + (positive * rows(self.lower_intercept)).flatten(2).sum(2)
        return result, offset
