"""One `verify train`: data, model, training, export, evaluation, in a folder that says what it is at every moment.

    run.json        what was asked for; written first
    checkpoint.pt   after every epoch, see `training.loop`
    log.csv         one line per epoch
    model.onnx, weights.pt, training.png
    evaluation.jsonl  finished parts of the final evaluation
    properties/     robustness of three test images as VNN-LIB files, for `verify run`
    manifest.json   written last: a folder with a manifest is a finished run

Every file appears whole or not at all. A run that was interrupted anywhere goes on when it is asked for again.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from training import curves
from training.attacks import Attack
from training.data import Data
from training.data.dataset import stratified
from training.evaluate import Options, evaluate
from training.evaluate import silent as silent_watch
from training.evaluation import Evaluation
from training.export import (
    MANIFEST,
    NETWORK,
    WEIGHTS,
    Exported,
    LoadedModel,
    export_onnx,
    load_model,
    provenance,
    read_manifest,
    save_weights,
    write_manifest,
)
from training.files import write_json, write_text
from training.loop import Epoch, accuracy, silent, train
from training.models import build
from training.properties import PROPERTIES, write_examples
from training.settings import Settings
from verify.errors import InvalidInput

RUN, CHECKPOINT, LOG, FIGURE, JOURNAL = "run.json", "checkpoint.pt", "log.csv", "training.png", "evaluation.jsonl"
FILES = (RUN, CHECKPOINT, LOG, NETWORK, WEIGHTS, FIGURE, JOURNAL, MANIFEST)


@dataclass(frozen=True)
class Final:
    """The evaluation at the end. `images`: test images for attacks and CROWN; `complete`: so many of them for complete
    verification, `timeout` seconds each; `steps`, `restarts` of PGD. No images, no evaluation."""

    images: int = 200
    complete: int = 20
    timeout: float = 10.0
    steps: int = 40
    restarts: int = 2

    def __post_init__(self) -> None:
        for name in ("images", "complete"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"--{'test' if name == 'images' else name} takes a number of images, got "
                                   f"{getattr(self, name)}")
        if not self.timeout > 0 or self.steps < 1 or self.restarts < 1:
            raise InvalidInput("--timeout, --attack-steps and --attack-restarts must be positive")


@dataclass(frozen=True, eq=False)
class Plan:
    """What one run is asked for: a fresh network `arch`, or `source` trained further, on `data`, into `folder`."""

    folder: Path
    data: Data
    settings: Settings
    arch: str | None = None
    source: str | None = None
    normalise: bool = True
    final: Final = field(default_factory=Final)

    def __post_init__(self) -> None:
        if (self.arch is None) == (self.source is None):
            raise InvalidInput("a run needs either --arch, for a fresh network, or --from, for one to train further")

    def identity(self, model: LoadedModel) -> dict[str, Any]:
        """What run.json holds. The evaluation may change: an unfinished run has none yet."""
        start = {"arch": self.arch, "normalise": self.normalise} if self.arch else {"from": model.sha256}
        return {**start, "data": {"name": self.data.name, "digest": self.data.digest},
                "settings": self.settings.as_dict()}


@dataclass(frozen=True, eq=False)
class Finished:
    """A run's results: the exported network, the epochs, the metrics of the manifest, and what to tell the user."""

    exported: Exported
    epochs: list[Epoch]
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def execute(plan: Plan, *, overwrite: bool = False, on_epoch: Callable[[Epoch], None] = silent,
            watch: Callable[[str, int, int], None] = silent_watch) -> Finished:
    """Runs the plan, or the rest of it. Raises `InvalidInput` where the folder holds another run, or a finished one
    (unless `overwrite`, which removes its files)."""
    model = _start(plan)
    claim(plan.folder, plan.identity(model), overwrite)
    epochs: list[Epoch] = []

    def record(epoch: Epoch) -> None:
        epochs.append(epoch)
        write_text(plan.folder / LOG, table(epochs))
        on_epoch(epoch)

    train(model.module, plan.data, plan.settings, run=plan.folder, on_epoch=record)
    module = model.module.cpu()
    exported = export_onnx(module, plan.data.input_shape, plan.folder / NETWORK, points=plan.data.x_test[:32],
                           metadata={"recipe": plan.settings.recipe, "data": plan.data.name})
    if model.build is not None:
        save_weights(plan.folder / WEIGHTS, module, model.build)
    metrics = _metrics(plan, module, exported, epochs, watch)
    notes = tuple(note for note in (curves.missing(),) if note is not None)
    if not notes:
        curves.draw(epochs, plan.settings, plan.folder / FIGURE)
    what = {**plan.identity(model), "seed": plan.settings.seed, "metrics": metrics,
            "build": None if model.build is None else dict(model.build)}
    write_manifest(plan.folder / MANIFEST, provenance(exported, **what))
    return Finished(exported, epochs, metrics, notes)


def _start(plan: Plan) -> LoadedModel:
    """The network before its first step."""
    data = plan.data
    if plan.arch is None:
        loaded = load_model(plan.source)
        if loaded.input_shape != data.input_shape or loaded.classes < data.classes:
            raise InvalidInput(f"{plan.source} takes images {list(loaded.input_shape)} of {loaded.classes} classes; "
                               f"{data.name} has {list(data.input_shape)} of {data.classes}")
        return loaded
    arguments: dict[str, Any] = {"arch": plan.arch, "input_shape": data.input_shape, "classes": data.classes,
                                 "seed": plan.settings.seed}
    if plan.normalise:
        arguments.update(mean=data.mean, std=data.std)
    return LoadedModel(build(**arguments), data.input_shape, data.classes, build=arguments)


def claim(folder: Path, identity: Mapping[str, Any], overwrite: bool) -> None:
    """Makes the folder this run's, or finds that it is. Raises `InvalidInput`."""
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"--out takes a folder, {folder} is a file")
    if overwrite:
        _remove([*(folder / name for name in FILES), *(folder / PROPERTIES).glob("image_*.vnnlib")])
    if (folder / MANIFEST).exists():
        read_manifest(folder)
        raise InvalidInput(f"{folder} holds a finished run; choose another folder, or --overwrite")
    if (folder / RUN).exists():
        difference = _difference(_read(folder / RUN), json.loads(json.dumps(identity)))
        if difference is not None:
            raise InvalidInput(f"{folder} holds an unfinished run with other settings ({difference}); repeat them, "
                               "choose another folder, or --overwrite")
        return
    foreign = [name for name in (CHECKPOINT, NETWORK) if (folder / name).exists()]
    if foreign:
        raise InvalidInput(f"{folder} holds {foreign[0]} of something else; choose another folder, or --overwrite")
    write_json(folder / RUN, identity)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InvalidInput(f"cannot remove {path}: {error.strerror}") from error


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _difference(before: Any, now: Any, name: str = "") -> str | None:
    """The first place where two nested values differ, in words."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            found = _difference(before.get(key), now.get(key), key)
            if found is not None:
                return found
        return None
    return None if before == now else f"{name} was {before!r}, now {now!r}"


def table(epochs: list[Epoch]) -> str:
    """CSV, one line per epoch."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(asdict(epochs[0])), lineterminator="\n")
    writer.writeheader()
    for epoch in epochs:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value
                         for name, value in asdict(epoch).items()})
    return text.getvalue()


def _metrics(plan: Plan, module: nn.Module, exported: Exported, epochs: list[Epoch],
             watch: Callable[[str, int, int], None]) -> dict[str, Any]:
    """For the manifest: the last epoch, clean accuracy on all test images, and the evaluation of the file."""
    data, final = plan.data, plan.final
    found: dict[str, Any] = {"epoch": {k: v for k, v in asdict(epochs[-1]).items() if k != "seconds"}}
    if not len(data.x_test):
        return found
    found["clean_all"] = {"share": accuracy(module, data.x_test, data.y_test), "images": len(data.x_test)}
    number = min(final.images, len(data.x_test))
    if not number:
        return found
    attacks = (Attack("pgd", final.steps, final.restarts),)
    where = stratified(data.y_test.numpy(), number, np.random.default_rng(plan.settings.seed))
    for name, count, timeout in (("sample", number, None), ("complete", min(final.complete, number), final.timeout)):
        if count:
            # The first of a random choice: a random choice itself, class by class in proportion.
            part = where if count == number else where[stratified(
                data.y_test.numpy()[where], count, np.random.default_rng(plan.settings.seed))]
            options = Options(plan.settings.eps, attacks=attacks, timeout=timeout, seed=plan.settings.seed,
                              device=plan.settings.device)
            done = evaluate(exported.path, data.x_test[part], data.y_test[part], options, watch=watch,
                            indices=part.tolist(), journal=plan.folder / JOURNAL)
            found[name] = summary(done)
            if name == "sample":
                write_examples(plan.folder / PROPERTIES, done, data.x_test[part], data.y_test[part])
    return found


def summary(done: Evaluation) -> dict[str, Any]:
    """Counts, shares and 95 % intervals of an evaluation."""
    kinds = ("clean", "robust", "crown") + (() if done.timeout is None else ("verified", "falsified", "undecided"))
    counts = {kind: {"count": done.count(kind), "share": done.share(kind), "interval": list(done.interval(kind))}
              for kind in kinds}
    return {"images": len(done.images), "eps": done.eps, "timeout": done.timeout, "attacks": list(done.attacks),
            "bounds": done.bounds, "unstable": done.unstable, "relus": done.relus, **counts}
