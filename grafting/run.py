"""One `verify graft`: selection, lines, fine-tuning, export, report, in a folder that says what it is at every moment.

    run.json         what was asked for; written first
    selection.npz    the masks, and the lines as they were before fine-tuning
    finetune/        checkpoints of the fine-tuning
    controls/        networks of the controls
    model.onnx       the grafted network, which every claim is about
    evaluation.jsonl finished parts of the report
    report.*         before, after and controls on the same test images: md, csv, json, figures
    properties/      robustness of three test images as VNN-LIB files, for `verify run`
    manifest.json    written last: a folder with a manifest is a finished run

An interrupted run goes on when it is asked for again. Masks and lines come from training images, the report from test
images.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from grafting.bridge import transfer
from grafting.choices import Choices
from grafting.controls import Controls, own_settings
from grafting.export import ExportedGraft, export_grafted
from grafting.finetune import finetune, finetune_settings
from grafting.graft import selected
from grafting.lines import load_lines, save_lines
from grafting.scores import Context
from grafting.select import Round, graft_in_rounds
from training.attacks import Attack
from training.compare import Comparison, compare, network_file
from training.compare_report import write_report
from training.data import Data
from training.evaluate import Options
from training.export import MANIFEST, NETWORK, Exported, LoadedModel, digest, load_model, provenance, write_manifest
from training.loop import Epoch, device_of, silent
from training.properties import PROPERTIES, write_examples
from training.run import RUN, claim
from training.settings import Settings
from verify.errors import InvalidInput
from verify.onnx_import import load_network

SELECTION, JOURNAL, REPORT = "selection.npz", "evaluation.jsonl", "report"
RECIPE = "fgsm"
"""Whose loss it is where nothing else is known: the paper's."""
KEPT = ("gradalign", "trades_beta", "steps", "step_size", "start", "batch", "flip", "shift")
"""What fine-tuning takes over from the network's own training, where a manifest tells."""


@dataclass(frozen=True, eq=False)
class Plan:
    """One run: `source` (a run folder or an .onnx file) grafted into `folder`. `timeout`: seconds of complete
    verification per test image of the report; `controls`, `transfer`: whether these are wanted; `control_epochs`: of
    the controls that train on (default: as many as fine-tuning, 10 without)."""

    source: Path
    folder: Path
    data: Data
    choices: Choices
    timeout: float = 10.0
    controls: bool = False
    control_epochs: int | None = None
    transfer: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Watch:
    """Observers: a line of text, an epoch, a round, the report's progress."""

    say: Callable[[str], None] = field(default=lambda text: None)
    epoch: Callable[[Epoch], None] = silent
    report: Callable[[str, str, int, int], None] = field(default=lambda *_: None)


@dataclass(frozen=True, eq=False)
class Finished:
    """The exported network, the report, and for how many of the verified test images the original is certified, too
    (None where that was not asked)."""

    exported: ExportedGraft
    comparison: Comparison
    transferred: tuple[int, int] | None


def execute(plan: Plan, *, overwrite: bool = False, watch: Watch | None = None) -> Finished:
    """Runs the plan, or the rest of it. Raises `VerifyError`s by name; nothing is half-written."""
    watch = watch or Watch()
    before, loaded = network_file(plan.source), load_model(plan.source)
    if before.resolve().parent == plan.folder.resolve():
        raise InvalidInput(f"--out {plan.folder} holds the network that is to be grafted; choose another folder")
    _require_fit(plan, loaded)
    start(plan, digest(before), overwrite)
    model = loaded.module.to(device_of(_settings(plan, loaded)))
    grafted = _grafted(plan, model, watch)
    if plan.choices.finetune_epochs and any(bool(m.any()) for m in selected(grafted, loaded.input_shape).values()):
        finetune(grafted, plan.data, _settings(plan, loaded), freeze_weights=plan.choices.freeze_weights,
                 run=plan.folder / "finetune", on_epoch=watch.epoch)
    exported = export_grafted(grafted.cpu(), loaded.input_shape, plan.folder / NETWORK, plan.data.x_train,
                              plan.choices.eps, {"grafted from sha256": digest(before)})
    controls = _controls(plan, loaded, model).make(watch.say, watch.epoch) if plan.controls else {}
    options = Options(plan.choices.eps, attacks=(Attack("pgd", 40, 2),), timeout=plan.timeout, seed=plan.choices.seed,
                      device=plan.choices.device)
    notes = (certificate(exported.sha256, digest(before)), *plan.notes)
    found = compare(before, [exported.path], controls, plan.data, options, journal=plan.folder / JOURNAL,
                    watch=watch.report, notes=notes)
    transferred = _transferred(plan, before, found, watch) if plan.transfer else None
    write_report(found, plan.folder)
    write_examples(plan.folder / PROPERTIES, found.entries[1].evaluation, plan.data.x_test, plan.data.y_test)
    write_manifest(plan.folder / MANIFEST, _manifest(plan, before, loaded, exported, found, transferred))
    return Finished(exported, found, transferred)


def certificate(sha256: str, original: str) -> str:
    """What the verified images say, and about which network."""
    return (f"Certificates cover the grafted network with SHA-256 {sha256}; they say nothing about the original "
            f"network (SHA-256 {original}).")


def start(plan: Plan, original: str, overwrite: bool) -> None:
    """Makes the folder this run's, or finds that it is."""
    folder = plan.folder
    if overwrite and folder.is_dir():
        for name in (RUN, SELECTION, NETWORK, JOURNAL, MANIFEST, *(path.name for path in folder.glob(f"{REPORT}.*"))):
            (folder / name).unlink(missing_ok=True)
        for name in ("finetune", "controls", PROPERTIES):
            shutil.rmtree(folder / name, ignore_errors=True)
    identity = {"graft": asdict(plan.choices), "original": original,
                "data": {"name": plan.data.name, "digest": plan.data.digest}}
    # The network may be there without a manifest: an unfinished run of ours, whose run.json is compared.
    claim(folder, identity, overwrite=False)


def _require_fit(plan: Plan, loaded: LoadedModel) -> None:
    data = plan.data
    if loaded.input_shape != data.input_shape or loaded.classes < data.classes:
        raise InvalidInput(f"{plan.source} takes images {list(loaded.input_shape)} of {loaded.classes} classes; "
                           f"{data.name} has {list(data.input_shape)} of {data.classes}")
    if not len(data.x_test):
        raise InvalidInput(f"{data.name} has no test images for the report")


def _context(plan: Plan, model: nn.Module) -> Context:
    """Scores and lines are found on randomly chosen training images."""
    choices, data = plan.choices, plan.data
    order = torch.randperm(len(data.x_train), generator=torch.Generator().manual_seed(choices.seed))
    chosen = order[: choices.calibration]
    return Context(model, data.input_shape, data.x_train[chosen], data.y_train[chosen], choices.eps, choices.bounds,
                   choices.bounded, layerwise=choices.layerwise, seed=choices.seed)


def _grafted(plan: Plan, model: nn.Module, watch: Watch) -> nn.Module:
    """The model with its lines, from the file where that is there."""
    path, choices = plan.folder / SELECTION, plan.choices
    if not path.exists():
        def done(round_: Round) -> None:
            watch.say(f"round {round_.number}/{choices.rounds}: " + ", ".join(
                f"{count} lines in {name}" for name, count in round_.lines.items()))

        grafted, _ = graft_in_rounds(_context(plan, model), choices.score, choices.ratio, choices.rounds, choices.init,
                                     done)
        save_lines(path, grafted, plan.data.input_shape)
    # From the file in any case: a run that was interrupted must not differ.
    return load_lines(path, model, plan.data.input_shape, frozen=choices.init == "zero")


def _settings(plan: Plan, loaded: LoadedModel, epochs: int | None = None) -> Settings:
    """Of the fine-tuning: the paper's, with the loss of the network's own training where its manifest tells, else that
    of `fgsm`."""
    choices, known = plan.choices, _known(loaded)
    recipe = choices.recipe or known.get("recipe", RECIPE)
    kept = {name: known[name] for name in KEPT if name in known} if recipe == known.get("recipe") else {}
    count = choices.finetune_epochs if epochs is None else epochs
    return finetune_settings(recipe, choices.eps, max(count, 1), certified=choices.certified,
                             **{**kept, "seed": choices.seed, "device": choices.device})


def _controls(plan: Plan, loaded: LoadedModel, model: nn.Module) -> Controls:
    choices = plan.choices
    epochs = plan.control_epochs or choices.finetune_epochs or 10
    known = {} if "graft" in (loaded.manifest or {}) else _known(loaded)
    recipe = choices.recipe or _known(loaded).get("recipe", RECIPE)
    own = own_settings(known, recipe, choices.eps, max(30, 3 * epochs), seed=choices.seed, device=choices.device)
    return Controls(plan.folder / "controls", model, plan.data, _settings(plan, loaded, epochs),
                    _settings(plan, loaded), own, _context(plan, model), choices)


def _known(loaded: LoadedModel) -> Mapping[str, Any]:
    """The settings of the network's own training, as far as its manifest tells."""
    return (loaded.manifest or {}).get("settings") or {}


def _transferred(plan: Plan, before: Path, found: Comparison, watch: Watch) -> tuple[int, int]:
    """Of the test images that are verified for the grafted network: for how many the original is certified, too."""
    original, grafted = load_network(before), load_network(plan.folder / NETWORK)
    verified = [k for k, holds in enumerate(found.entries[1].evaluation.flags("verified")) if holds]
    count = 0
    for done, k in enumerate(verified):
        watch.report("bridge", "to the original", done, len(verified))
        count += transfer(original, grafted, plan.data.x_test[k], plan.choices.eps, int(plan.data.y_test[k]),
                          timeout=plan.timeout, seed=plan.choices.seed).certified
    return count, len(verified)


def _manifest(plan: Plan, before: Path, loaded: LoadedModel, exported: ExportedGraft, found: Comparison,
              transferred: tuple[int, int] | None) -> Mapping[str, Any]:
    original = digest(before)
    settings = _settings(plan, loaded).as_dict() if plan.choices.finetune_epochs else None
    return provenance(
        Exported(exported.path, exported.sha256, exported.max_difference), seed=plan.choices.seed,
        certificate=certificate(exported.sha256, original), original={"network": before.name, "sha256": original},
        graft=asdict(plan.choices), settings=settings, export=exported.as_dict(),
        data={"name": plan.data.name, "digest": plan.data.digest},
        metrics={entry.name: {what: entry.evaluation.share(what) for what in (
            "clean", "robust", "crown", "verified", "falsified", "undecided")} for entry in found.measured},
        transfer=None if transferred is None else {
            "original_certified_too": transferred[0], "grafted_verified": transferred[1]})
