"""Pruning on real images: verified accuracy against the remaining ratio, per criterion, with and without NRS.

    python -m benchmarks.companions.pruning --data ../shared/data/fashion_mnist.npz --out DIR [--jobs 2]

Interrupted, the same command goes on. DIR/report.md has the tables, DIR/rows.csv every network, DIR/*.png the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.companions import study
from benchmarks.companions.jobs import Job, Row
from benchmarks.companions.tables import markdown, paired, percent, summary

RATIOS = (0.5, 0.25, 0.12, 0.05)
WEIGHTS, CHANNELS = ("random", "magnitude", "snip", "taylor"), ("random", "nrs")
SCOPE = "all"  # on so small a network the convolutions alone are 4 % of the weights
NRS = 0.1
COMPLETE = ("random", "magnitude", "nrs")
"""Criteria whose last round also goes to the complete verifier."""


@dataclass(frozen=True)
class Chain:
    """One schedule: a criterion over all ratios, from the dense network of a seed. `setup` is a
    `benchmarks.companions.networks.Setup` (not named here: its module is slow to import)."""

    setup: object
    criterion: str
    structured: bool
    nrs: bool
    ratios: tuple[float, ...]


def chain(settings: Chain) -> list[Row]:
    """Prunes by one criterion, rewinding to the initial weights; a row per round, the dense network left out."""
    from benchmarks.companions.networks import dense, row
    from pruning.plan import Plan
    from pruning.prune import prune
    from pruning.schedule import saved

    setup = settings.setup
    data, name = setup.load(), _name(settings.criterion, settings.structured)
    regular = {"nrs": NRS} if settings.nrs else {}
    trained = saved(dense(setup, data, "dense-nrs" if settings.nrs else "dense", **regular))
    plan = Plan(settings.criterion, settings.ratios, settings.structured, SCOPE, check_images=20, max_drop_clean=1,
                max_drop_pgd=1, seed=setup.seed)
    folder = setup.folder(f"{name}{'-nrs' if settings.nrs else ''}".replace(" ", "-"))
    done = prune(setup.build(data), data, setup.fgsm(**regular), plan, folder, dense=trained)
    rows = []
    for made in done.rounds[1:]:
        complete = settings.criterion in COMPLETE and made is done.rounds[-1]
        asked = settings.ratios[made.index - 1]
        rows.append({**row(setup, data, made.onnx, name, complete, nrs=settings.nrs, asked=asked,
                           remaining=made.remaining, whole=made.whole), "difference": made.difference})
    return rows


def references(settings: Chain) -> list[Row]:
    """The dense networks and the controls of one seed."""
    from benchmarks.companions.networks import controls, dense, measured

    setup = settings.setup
    data = setup.load()
    plain, regular = dense(setup, data), dense(setup, data, "dense-nrs", nrs=NRS)
    rows = [measured(setup, data, model, name, True, nrs=nrs, asked=1.0, remaining=1.0, whole=1.0)
            for name, model, nrs in (("dense", plain, False), ("dense", regular, True))]
    for name, model in controls(setup, data, setup.epochs * (len(settings.ratios) + 1)).items():
        rows.append(measured(setup, data, model, name, True, nrs=False, asked=1.0, remaining=1.0, whole=1.0))
    return rows


def stages(setups: Sequence[object], ratios: tuple[float, ...] = RATIOS) -> list[list[Job]]:
    """References of every seed first: chains read the dense networks that they train."""
    first = [Job(f"references-{setup.seed}", references, Chain(setup, "", False, False, ratios)) for setup in setups]
    second = []
    for setup in setups:
        for structured, criteria in ((False, WEIGHTS), (True, CHANNELS)):
            for criterion in criteria:
                for nrs in (False, True):
                    name = f"{_name(criterion, structured)}{' nrs' if nrs else ''} {setup.seed}".replace(" ", "-")
                    second.append(Job(name, chain, Chain(setup, criterion, structured, nrs, ratios)))
    return [first, second]


def _name(criterion: str, structured: bool) -> str:
    return f"{criterion} channels" if structured else criterion


def report(rows: list[Row]) -> str:
    """Markdown: the curve of every criterion, and pairs against the dense network, the random mask and NRS."""
    dense = [r for r in rows if r["method"] == "dense" and not r["nrs"]]
    keys = ("method", "nrs", "asked")
    parts = ["## All networks", summary(rows, keys, ("remaining", "whole", "clean", "pgd", "crown", "unstable")),
             "## Complete verification", summary([r for r in rows if "verified" in r], keys,
                                                 ("verified", "undecided")), "## Pairs (CROWN-verified test images)"]
    lines = [["network", "remaining", "against", "wins", "losses", "McNemar p", "verified"]]
    for method, nrs, asked in dict.fromkeys(tuple(r[key] for key in keys) for r in rows):
        ours = [r for r in rows if (r["method"], r["nrs"], r["asked"]) == (method, nrs, asked)]
        rival = "random channels" if method.endswith("channels") else "random"
        others = {"dense": dense if ours != dense else [],
                  rival: [r for r in rows if (r["method"], r["nrs"], r["asked"]) == (rival, nrs, asked)],
                  "without NRS": [r for r in rows if nrs and (r["method"], r["nrs"], r["asked"])
                                  == (method, False, asked)]}
        for against, theirs in others.items():
            if theirs and against != method:
                wins, losses, p = paired(ours, theirs, "crown")
                lines.append([method + (" + NRS" if nrs else ""), f"{asked:g}", against, str(wins), str(losses),
                              f"{p:.2g}", percent([r["crown"] for r in ours])])
    return "\n\n".join([*parts, markdown(lines)]) + "\n"


def figures(rows: list[Row], folder: Path) -> None:
    """Accuracy along the schedules, one figure without and one with NRS."""
    from training.figures import Track, draw_schedule, missing

    if missing():
        return
    for nrs in (False, True):
        tracks = {}
        starts = {r["seed"]: r for r in rows if r["method"] == "dense" and r["nrs"] == nrs}
        for method in dict.fromkeys(r["method"] for r in rows if r["nrs"] == nrs and r["asked"] < 1):
            tracks[method] = []
            for seed, start in starts.items():
                mine = [start, *(r for r in rows if (r["method"], r["nrs"], r["seed"]) == (method, nrs, seed))]
                tracks[method].append(Track(*(tuple(r[c] for r in mine) for c in ("asked", "clean", "crown"))))
        if tracks:
            draw_schedule(tracks, folder / ("schedule-nrs" if nrs else "schedule"),
                          "CROWN-verified" + (", with NRS" if nrs else ""))


if __name__ == "__main__":
    sys.exit(study.main("pruning", __doc__, stages, report, figures))
