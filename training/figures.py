"""Figures as PNG and SVG: accuracy against verified accuracy, unstable neurons per layer, and both along a schedule.

matplotlib is optional; without it `missing` says what to install. No global state: figures are built on their own
canvas, and equal input gives equal SVG files.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from training.files import write
from verify.errors import InvalidInput

if TYPE_CHECKING:
    from training.compare import Entry

# Okabe and Ito's colours, told apart by everyone; black is kept for the network before.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933")
MARKERS = MappingProxyType({"before": "s", "after": "o", "control": "^"})
BLACK, GREY = "#000000", "#777777"


@dataclass(frozen=True)
class Track:
    """One seed's way along a schedule: at each stage the remaining share, clean and verified accuracy, in [0, 1]."""

    remaining: tuple[float, ...]
    clean: tuple[float, ...]
    verified: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.remaining) == len(self.clean) == len(self.verified) or not self.remaining:
            raise InvalidInput("a track needs equally many remaining shares, clean and verified accuracies, at least "
                               f"one; got {len(self.remaining)}, {len(self.clean)} and {len(self.verified)}")


def missing() -> str | None:
    """Why there are no figures, or None."""
    if importlib.util.find_spec("matplotlib") is None:
        return "No figures: matplotlib is not installed (pip install matplotlib)."
    return None


def draw_accuracy(entries: Sequence[Entry], base: Path) -> list[Path]:
    """Verified against clean accuracy with 95 % intervals, one point per network: `base`.png and `base`.svg."""
    figure, (axes,) = _figure(1, (5.4, 4.2))
    colours = _colours(entries)
    for entry in entries:
        clean, verified = (100 * entry.evaluation.share(what) for what in ("clean", "verified"))
        reach = [_reach(entry, what) for what in ("clean", "verified")]
        hollow = entry.role == "control"
        axes.errorbar(clean, verified, xerr=reach[0], yerr=reach[1], fmt=MARKERS[entry.role], color=colours[entry.name],
                      markerfacecolor="white" if hollow else colours[entry.name], markersize=7, elinewidth=0.9,
                      capsize=2, alpha=0.95, label=entry.name)
    axes.set_xlabel("clean accuracy (%)")
    axes.set_ylabel("verified accuracy (%)")
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    _legend(axes)
    return _save(figure, base)


def draw_layers(entries: Sequence[Entry], base: Path) -> list[Path]:
    """Unstable neurons per ReLU layer, mean per image, one bar per network; pale bars are all neurons of the layer."""
    depth = max(len(entry.evaluation.layers) for entry in entries)
    figure, (axes,) = _figure(1, (max(4.5, 1.1 + 0.35 * depth * len(entries)), 3.8))
    colours, width = _colours(entries), 0.8 / len(entries)
    for number, entry in enumerate(entries):
        layers = entry.evaluation.layers
        places = [k + (number - (len(entries) - 1) / 2) * width for k in range(1, len(layers) + 1)]
        axes.bar(places, [layer.neurons for layer in layers], 0.92 * width, color=colours[entry.name], alpha=0.18)
        axes.bar(places, [layer.unstable for layer in layers], 0.92 * width, color=colours[entry.name],
                 label=entry.name, hatch="///" if entry.role == "control" else None, edgecolor="white", linewidth=0)
    axes.set_xticks(range(1, depth + 1))
    axes.set_xlabel("ReLU layer")
    axes.set_ylabel("neurons: unstable, and all (pale)")
    _legend(axes)
    return _save(figure, base)


def draw_schedule(tracks: Mapping[str, Sequence[Track]], base: Path, title: str = "") -> list[Path]:
    """Accuracy along a schedule, per method several seeds: `base`.png and `base`.svg.

    Left, verified (solid) and clean (dashed) accuracy against the remaining share, on a logarithmic axis that runs from
    all to nothing: means over the seeds, bands from the least to the largest. Right, verified against clean accuracy,
    one line per method through the same stages. The tracks of one method must share their remaining shares.
    """
    if not tracks or not all(tracks.values()):
        raise InvalidInput("a figure along a schedule needs at least one track per method")
    figure, (left, right) = _figure(2, (9.2, 4.0))
    for (name, runs), colour in zip(tracks.items(), _palette(len(tracks)), strict=True):
        stages = runs[0].remaining
        if any(len(run.remaining) != len(stages) for run in runs):
            raise InvalidInput(f"{name}: the tracks have different numbers of stages")
        clean, verified = (_spread([getattr(run, what) for run in runs]) for what in ("clean", "verified"))
        for (mean, low, high), style, label in ((verified, "-", name), (clean, "--", None)):
            left.plot(stages, mean, style, color=colour, marker="o", markersize=3, linewidth=1.4, label=label)
            if len(runs) > 1:
                left.fill_between(stages, low, high, color=colour, alpha=0.15, linewidth=0)
        right.plot(clean[0], verified[0], "-", color=colour, marker="o", markersize=3, linewidth=1.4)
        right.plot(clean[0][:1], verified[0][:1], "s", color=colour, markersize=6)
    _finish_schedule(left, right, title)
    return _save(figure, base)


def _finish_schedule(left: Any, right: Any, title: str) -> None:
    left.set_xscale("log")
    left.invert_xaxis()
    left.xaxis.set_major_formatter(lambda value, _position: f"{value:g}")
    left.set_xlabel("remaining share")
    left.set_ylabel("accuracy (%): verified, clean (dashed)")
    right.set_xlabel("clean accuracy (%)")
    right.set_ylabel("verified accuracy (%)")
    left.set_title(title, fontsize=9, loc="left")
    right.set_title("the same stages; squares: where the schedules start", fontsize=9, loc="left")
    _legend(left)


def _spread(values: Sequence[Sequence[float]]) -> tuple[list[float], list[float], list[float]]:
    """Mean, least and largest over the runs, stage by stage, in percent."""
    stages = list(zip(*values, strict=True))
    return ([100 * sum(stage) / len(stage) for stage in stages], [100 * min(stage) for stage in stages],
            [100 * max(stage) for stage in stages])


def _reach(entry: Entry, what: str) -> list[list[float]]:
    """Distances from a share to the ends of its interval, as matplotlib wants them."""
    share, (low, high) = entry.evaluation.share(what), entry.evaluation.interval(what)
    return [[max(0.0, 100 * (share - low))], [max(0.0, 100 * (high - share))]]


def _palette(count: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(count)]


def _colours(entries: Sequence[Entry]) -> dict[str, str]:
    others = [entry.name for entry in entries if entry.role != "before"]
    return {entry.name: BLACK for entry in entries} | dict(zip(others, _palette(len(others)), strict=True))


def _figure(panels: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    reason = missing()
    if reason is not None:
        raise InvalidInput(reason)
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(1, panels, k + 1) for k in range(panels)]
    for part in axes:
        part.spines[["top", "right"]].set_visible(False)
        part.grid(color=GREY, alpha=0.2, linewidth=0.6)
        part.set_axisbelow(True)
    return figure, axes


def _legend(axes: Any) -> None:
    axes.legend(frameon=False, fontsize=8)


def _save(figure: Any, base: Path) -> list[Path]:
    from matplotlib import rc_context

    paths = [base.with_name(f"{base.name}.{kind}") for kind in ("png", "svg")]
    for path in paths:
        # A fixed salt and no date: equal figures are equal files.
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with rc_context({"svg.hashsalt": "verify", "svg.fonttype": "none"}):
            write(path, lambda place, path=path, metadata=metadata: figure.savefig(
                place, format=path.suffix[1:], dpi=160, metadata=metadata))
    return paths
