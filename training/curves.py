"""How a training went, as a picture: loss, accuracy and radius by epoch. matplotlib is optional."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from training.figures import COLOURS, GREY, missing
from training.files import write
from training.settings import Settings

if TYPE_CHECKING:
    from training.loop import Epoch

__all__ = ["draw", "missing"]


def draw(epochs: Sequence[Epoch], settings: Settings, path: Path) -> None:
    """Writes `path` (.png). Left: the loss; right: training and validation accuracy; both with eps as it grew."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    numbers = [epoch.number for epoch in epochs]
    left, right = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    left.plot(numbers, [epoch.loss for epoch in epochs], color=COLOURS[0])
    left.set_ylabel("loss")
    right.plot(numbers, [100 * epoch.accuracy for epoch in epochs], color=COLOURS[0], label="training pass")
    for what, colour, label in (("validation", COLOURS[1], "validation, clean"),
                                ("robust", COLOURS[2], "validation, attacked")):
        known = [(epoch.number, 100 * value) for epoch in epochs if (value := getattr(epoch, what)) is not None]
        if known:
            right.plot(*zip(*known, strict=True), color=colour, label=label)
    right.set_ylabel("accuracy (%)")
    right.legend(frameon=False, fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.spines["top"].set_visible(False)
        axes.grid(color=GREY, alpha=0.2, linewidth=0.6)
        if settings.ramp[1] > 0 and settings.eps > 0:
            radius = axes.twinx()
            radius.plot(numbers, [epoch.eps for epoch in epochs], color=GREY, linewidth=0.9, linestyle=":")
            radius.set_ylabel("eps (dotted)", color=GREY)
            radius.spines["top"].set_visible(False)
    figure.suptitle(f"{settings.recipe}, eps {settings.eps:g}, seed {settings.seed}", fontsize=10)
    write(path, lambda place: figure.savefig(place, format="png", dpi=150))
