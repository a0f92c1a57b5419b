"""One `verify prune`: schedule, selection, controls and report, in a folder that says what it is at every moment.

    schedule.json, rounds/   see `pruning.rounds`
    controls/                networks of the controls
    model.onnx               the network of the selected round, which every claim is about
    dense/model.onnx         the network before
    lossless/model.onnx      an even smaller one, equal to it on images, where bounds proved that there is one
    evaluation.jsonl         finished parts of the report
    rounds.md, .csv, .png    the schedule: validation accuracies, both ratios, sizes
    report.*                 dense, pruned and controls on the same unseen test images
    properties/              robustness of three test images as VNN-LIB files, for `verify run`
    manifest.json            written last: a folder with a manifest is a finished run

An interrupted run goes on when it is asked for again.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from pruning.choose import check
from pruning.controls import Controls
from pruning.lossless import lossless
from pruning.plan import Plan
from pruning.prune import Pruned, prune, smaller
from pruning.report import write_rounds
from pruning.rounds import Round
from pruning.start import DOMAIN, Start, begin, removed
from pruning.tickets import Judgement, judge
from training.attacks import Attack
from training.compare import Comparison, compare, network_file
from training.compare_report import write_report
from training.data import Data
from training.evaluate import Options
from training.export import MANIFEST, NETWORK, Exported, LoadedModel, export_onnx, provenance, write_manifest
from training.files import write_bytes, write_text
from training.loop import Epoch, silent
from training.properties import PROPERTIES, write_examples
from training.settings import Settings
from verify.errors import InvalidInput

JOURNAL, LOSSLESS, DENSE = "evaluation.jsonl", "lossless", "dense"
FOLDERS = ("rounds", "controls", LOSSLESS, DENSE, PROPERTIES)
FILES = ("schedule.json", "initial.pt", "rewind.pt", NETWORK, JOURNAL, "images.csv", MANIFEST)
PATTERNS = ("rounds.*", "report.*", "accuracy.*", "unstable.*")


@dataclass(frozen=True, eq=False)
class Work:
    """One run: `source` (a run folder or an .onnx file), read as `loaded`, pruned by `plan` into `folder`. `data`: with
    the test images of the report; `timeout`: seconds of complete verification for each; `lossless`: bounds of the
    passes before and after (`off`, `ibp`, `crown`); `notes`: for the report."""

    source: Path
    loaded: LoadedModel
    folder: Path
    data: Data
    settings: Settings
    plan: Plan
    timeout: float | None = 10.0
    lossless: str = "ibp"
    controls: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Watch:
    """Observers: a line of text, a round, an epoch, the report's progress."""

    say: Callable[[str], None] = field(default=lambda text: None)
    round: Callable[[Round], None] = field(default=lambda made: None)
    epoch: Callable[[Epoch], None] = silent
    report: Callable[[str, str, int, int], None] = field(default=lambda *_: None)


@dataclass(frozen=True, eq=False)
class Finished:
    """The schedule, the report on test images, and the judgement of the ticket (None where the selected network is the
    dense one, or was fine-tuned instead of rewound)."""

    pruned: Pruned
    comparison: Comparison
    ticket: Judgement | None


def execute(work: Work, *, overwrite: bool = False, watch: Watch | None = None) -> Finished:
    """Carries out the run, or the rest of it. Raises `VerifyError`s by name; nothing is half-written."""
    watch = watch or Watch()
    _require(work)
    start = begin(work.loaded, work.plan, work.lossless)
    check(start.model, work.plan)
    claim(work.folder, overwrite)
    model = copy.deepcopy(start.model)
    pruned = prune(model, work.data, work.settings, work.plan, work.folder, dense=start.dense, on_round=watch.round,
                   on_epoch=watch.epoch)
    if pruned.stopped:
        watch.say(f"the schedule ended early: {pruned.stopped}")
    extra, note = _lossless(work, pruned, model.cpu())
    controls = _controls(work, start, pruned, watch) if work.controls else {}
    notes = (*work.notes, *start.notes, selection(pruned), *note)
    dense = work.folder / DENSE / NETWORK
    write_bytes(dense, pruned.dense.onnx.read_bytes())
    options = Options(work.settings.eps, attacks=(Attack("pgd", 40, 2),), timeout=work.timeout, seed=work.plan.seed,
                      intermediate=work.plan.bounds, device=work.settings.device)
    found = compare(dense, [pruned.onnx, *extra], controls, work.data, options,
                    journal=work.folder / JOURNAL, watch=watch.report, notes=notes)
    ticket = None
    if pruned.selected and work.plan.rewind != "none":
        ticket = judge([found.entries[0].evaluation], [found.entries[1].evaluation])
    write_report(found, work.folder)
    write_examples(work.folder / PROPERTIES, found.entries[1].evaluation, work.data.x_test, work.data.y_test)
    write_rounds(pruned, work.plan, work.folder, notes, ticket)
    write_manifest(work.folder / MANIFEST, _manifest(work, pruned, found, ticket))
    return Finished(pruned, found, ticket)


def selection(pruned: Pruned) -> str:
    """One sentence about how the network was chosen."""
    best, check = pruned.best, pruned.best.check
    early = f" The schedule ended early: {pruned.stopped}." if pruned.stopped else ""
    return (f"Round {best.index} of {len(pruned.rounds) - 1} was selected on validation images ({check.images} for "
            f"clean accuracy, {check.checked} for attacks and CROWN): {best.remaining:.3g} of the pruned tensors, "
            f"{best.whole:.3g} of all parameters remain." + early)


def claim(folder: Path, overwrite: bool) -> None:
    """Refuses a folder with a finished run; with `overwrite` removes what such a run wrote."""
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"--out takes a folder, {folder} is a file")
    if overwrite and (folder / "schedule.json").exists():
        for name in FOLDERS:
            shutil.rmtree(folder / name, ignore_errors=True)
        for path in [*(folder / name for name in FILES), *(p for pattern in PATTERNS for p in folder.glob(pattern))]:
            path.unlink(missing_ok=True)
    if (folder / MANIFEST).exists():
        raise InvalidInput(f"{folder} holds a finished run; choose another folder, or --overwrite")


def _require(work: Work) -> None:
    loaded, data = work.loaded, work.data
    if network_file(work.source).resolve().parent == work.folder.resolve():
        raise InvalidInput(f"--out {work.folder} holds the network that is to be pruned; choose another folder")
    if loaded.input_shape != data.input_shape or loaded.classes != data.classes:
        raise InvalidInput(f"{work.source} takes images {list(loaded.input_shape)} of {loaded.classes} classes; "
                           f"{data.name} has {list(data.input_shape)} of {data.classes}")
    if not len(data.x_test):
        raise InvalidInput(f"{data.name} has no test images for the report")


def _lossless(work: Work, pruned: Pruned, model: nn.Module) -> tuple[list[Path], list[str]]:
    """The pass after pruning: the file, where something was found, and what to say about it."""
    if work.lossless == "off":
        return [], []
    small = smaller(model, work.data.input_shape, structured=False) or model
    proved, report = lossless(small, work.data.input_shape, DOMAIN, work.lossless)
    write_text(work.folder / LOSSLESS / "report.txt", report.text() + "\n")
    if not removed(report):
        return [], ["Lossless pass after pruning, over all images: nothing more could be removed."]
    path = work.folder / LOSSLESS / NETWORK
    export_onnx(proved, work.data.input_shape, path, points=work.data.x_val[:32])
    before, after = report.parameters
    return [path], [f"Lossless pass after pruning: {LOSSLESS}/{NETWORK} ({before} -> {after} parameters) equals "
                    f"{NETWORK} for pixels in [0, 1], and may differ elsewhere."]


def _controls(work: Work, start: Start, pruned: Pruned, watch: Watch) -> dict[str, Path]:
    controls = Controls(work.folder / "controls", start.model, start.known, start.dense, work.data, work.settings,
                        work.plan, max(1, pruned.selected))
    return controls.make(watch.say, watch.epoch)


def _manifest(work: Work, pruned: Pruned, found: Comparison, ticket: Judgement | None) -> dict[str, Any]:
    best = pruned.best
    names = ("clean", "robust", "crown", "verified", "falsified", "undecided")
    return provenance(
        Exported(pruned.onnx, best.files[NETWORK], best.difference), seed=work.plan.seed,
        original={"network": str(work.source), "sha256": work.loaded.sha256}, plan=work.plan.as_dict(),
        settings=work.settings.as_dict(), data={"name": work.data.name, "digest": work.data.digest},
        rounds=[made.as_dict() for made in pruned.rounds], selected=pruned.selected, stopped=pruned.stopped,
        ticket=None if ticket is None else ticket.as_dict(), notes=list(found.notes),
        metrics={entry.name: {what: entry.evaluation.share(what) for what in names} for entry in found.measured})


