"""Grafting on real images: what 30, 50 and 80 % linear neurons do to accuracy and verified accuracy, per score.

    python -m benchmarks.companions.grafting --data ../shared/data/fashion_mnist.npz --out DIR [--jobs 2]

Interrupted, the same command goes on. DIR/report.md has the tables, DIR/rows.csv every network, DIR/*.png the figure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.companions import study
from benchmarks.companions.jobs import Job, Row
from benchmarks.companions.tables import markdown, paired, percent, summary

RATIOS = (0.3, 0.5, 0.8)
SCORES = ("random", "paper", "low-magnitude", "instability")
CALIBRATION, BOUNDED, EPOCHS = 500, 60, 3
COMPLETE, ASKED = 0.5, 30
"""The ratio at which the complete verifier is asked, too, and about how many images."""


@dataclass(frozen=True)
class Grafting:
    """All ratios by one score, each from the same dense network. `setup`: `benchmarks.companions.networks.Setup`."""

    setup: object
    score: str
    ratios: tuple[float, ...]


def grafted(settings: Grafting) -> list[Row]:
    """Per ratio one row after fine-tuning, at `COMPLETE` also one before it: least squares alone."""
    from benchmarks.companions.networks import dense, measured
    from grafting.finetune import finetune, finetune_settings
    from grafting.scores import Context
    from grafting.select import graft_in_rounds

    setup, rows = settings.setup, []
    data = setup.load()
    context = Context(dense(setup, data), data.input_shape, data.x_train[:CALIBRATION], data.y_train[:CALIBRATION],
                      setup.eps, bounds="crown", bounded=BOUNDED, seed=setup.seed)
    for ratio in settings.ratios:
        model, _ = graft_in_rounds(context, settings.score, ratio)
        name = f"{settings.score} {ratio:g}"
        if ratio == COMPLETE:
            rows.append(measured(setup, data, model, f"{name} least squares", method=settings.score, asked=ratio,
                                 tuned=0))
        finetune(model, data, finetune_settings("fgsm", setup.eps, EPOCHS, start="random", gradalign=0.0,
                                                device="cpu", seed=setup.seed), run=setup.folder(name))
        rows.append(measured(setup, data, model, name, ratio == COMPLETE, method=settings.score, asked=ratio,
                             tuned=EPOCHS))
    return rows


def references(settings: Grafting) -> list[Row]:
    """The dense network and the controls of one seed; `more epochs` are the fine-tuning's, with nothing grafted."""
    from benchmarks.companions.networks import controls, dense, measured
    from grafting.finetune import finetune_settings
    from training.loop import train

    setup = settings.setup
    data = setup.load()
    models = {"dense": dense(setup, data), **controls(setup, data, setup.epochs + EPOCHS)}
    longer = dense(setup, data)
    train(longer, data, finetune_settings("fgsm", setup.eps, EPOCHS, start="random", gradalign=0.0, device="cpu",
                                          seed=setup.seed), run=setup.folder("tuned-dense"))
    models["fine-tuning alone"] = longer
    return [measured(setup, data, model, name, True, asked=0.0, tuned=0) for name, model in models.items()]


def stages(setups: Sequence[Any], ratios: tuple[float, ...] = RATIOS) -> list[list[Job]]:
    """References of every seed first: graftings read the dense networks that they train."""
    setups = [replace(setup, complete=min(setup.complete, ASKED)) for setup in setups]
    first = [Job(f"references-{setup.seed}", references, Grafting(setup, "", ratios)) for setup in setups]
    second = [Job(f"{score}-{setup.seed}", grafted, Grafting(setup, score, ratios))
              for setup in setups for score in SCORES]
    return [first, second]


def report(rows: list[Row]) -> str:
    """Markdown: all networks, the complete verifier's answers, and pairs against the dense network and chance."""
    keys = ("method", "asked", "tuned")
    parts = ["## All networks", summary(rows, keys, ("clean", "pgd", "crown", "unstable")),
             "## Complete verification", summary([r for r in rows if "verified" in r], keys,
                                                 ("verified", "undecided")), "## Pairs (CROWN-verified test images)"]
    dense = [r for r in rows if r["method"] == "dense"]
    lines = [["network", "grafted", "fine-tuned epochs", "against", "wins", "losses", "McNemar p", "verified"]]
    for method, asked, tuned in dict.fromkeys(tuple(r[key] for key in keys) for r in rows):
        ours = [r for r in rows if (r["method"], r["asked"], r["tuned"]) == (method, asked, tuned)]
        random = [r for r in rows if (r["method"], r["asked"], r["tuned"]) == ("random", asked, tuned)]
        for against, theirs in (("dense", dense), ("random", random)):
            if theirs and against != method:
                wins, losses, p = paired(ours, theirs, "crown")
                lines.append([method, f"{asked:g}", str(tuned), against, str(wins), str(losses), f"{p:.2g}",
                              percent([r["crown"] for r in ours])])
    return "\n\n".join([*parts, markdown(lines)]) + "\n"


def figures(rows: list[Row], folder: Path) -> None:
    """Accuracy along the grafted ratio, fine-tuned networks."""
    from training.figures import Track, draw_schedule, missing

    if missing():
        return
    starts = {r["seed"]: r for r in rows if r["method"] == "dense"}
    tracks = {}
    for method in dict.fromkeys(r["method"] for r in rows if r["tuned"]):
        tracks[method] = []
        for seed, start in starts.items():
            mine = [start, *(r for r in rows if r["method"] == method and r["seed"] == seed and r["tuned"])]
            tracks[method].append(Track(tuple(1 - r["asked"] for r in mine), tuple(r["clean"] for r in mine),
                                        tuple(r["crown"] for r in mine)))
    draw_schedule(tracks, folder / "ratios", "CROWN-verified; remaining ReLUs")


if __name__ == "__main__":
    sys.exit(study.main("grafting", __doc__, stages, report, figures))
