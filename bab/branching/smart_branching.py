"""Smart branching: split the input that contributes most to the lower bound of a row that is still open.

Score max_r |A_ri| w_i / 2 over open rows, with the row's slack as tie-breaker between rows; a small share of the
relative width keeps inputs alive whose slope happens to vanish. Source: alpha-beta-CROWN's input split (Wang et al.
2021), Shi et al. 2024."""

from __future__ import annotations

from torch import Tensor

from bab.branching.base import BoxView

ALIVE = 0.05


def smart_branching(view: BoxView) -> Tensor:
    """Scores (n, i)."""
    width = view.upper - view.lower
    slope = (view.coeff.abs() * view.open_rows.unsqueeze(2)).amax(1)
    gain = slope * width / 2
    return gain + ALIVE * gain.amax(1, keepdim=True) * width / view.root_width
