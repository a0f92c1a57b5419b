"""`verify train`: the command line of `training.run`. Everything heavy is imported inside the command."""

from __future__ import annotations

import inspect
import sys
import time
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from training.settings import RECIPES, Settings, help_text
from verify.errors import InvalidInput

if TYPE_CHECKING:
    from training.data import Data
    from training.loop import Epoch
    from training.run import Finished

_TYPES = MappingProxyType({"str": str, "float": float, "int": int, "bool": bool})
_OWN = tuple(entry for entry in fields(Settings) if entry.name not in ("recipe",))


def main(recipe: str) -> None:
    """`python -m training.recipes.<recipe> OPTIONS` is `verify train RECIPE OPTIONS`."""
    from verify.cli import main as verify_main

    sys.argv[1:1] = ["train", recipe]
    verify_main()


def register(app: typer.Typer) -> None:
    """Adds the command to a typer application."""
    app.command("train")(train)


def train(
    recipe: Annotated[str, typer.Argument(help=", ".join(RECIPES))],
    data: Annotated[str, typer.Option(help="images: .npz, a folder of IDX files, CIFAR batches or images, or digits")],
    out: Annotated[Path, typer.Option(help="folder of the run")],
    arch: Annotated[str | None, typer.Option(help="fresh network, such as mlp-3x100, conv-small, cnn-b, cnn-7; an "
                                                  "unknown name lists them")] = None,
    source: Annotated[str | None, typer.Option("--from", help="train this network further: a run's folder or an .onnx "
                                                              "file")] = None,
    train_images: Annotated[int | None, typer.Option("--train", help="take so many training images (default: all)"
                                                     )] = None,
    validation: Annotated[float, typer.Option(help="share of them set aside for validation")] = 0.1,
    normalise: Annotated[bool, typer.Option(help="a first layer subtracts the mean of the images and divides by their "
                                                 "deviation")] = True,
    test: Annotated[int, typer.Option(help="test images for PGD and CROWN at the end; 0: no evaluation")] = 200,
    complete: Annotated[int, typer.Option(help="so many of them for complete verification")] = 20,
    timeout: Annotated[float, typer.Option(help="seconds of complete verification per image")] = 10.0,
    attack_steps: Annotated[int, typer.Option(help="gradient steps of PGD at the end")] = 40,
    attack_restarts: Annotated[int, typer.Option(help="random starts of PGD at the end")] = 2,
    threads: Annotated[int | None, typer.Option(help="processor threads (default: one per core)")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="remove the run that the folder holds")] = False,
    **given: Any,
) -> int:
    """Trains a network, exports it as ONNX, and measures it: clean, attacked, CROWN, complete verification.

    The defaults of the settings below are the recipe's. An interrupted run goes on when it is asked for again.
    """
    from training.data import load
    from training.run import Final, Plan, execute
    from training.settings import settings_for
    from verify.runtime import configure

    changes = {name: _parsed(name, value) for name, value in given.items() if value is not None}
    settings = settings_for(recipe, **changes)
    configure(threads)
    images = load(data, validation=validation, train=train_images, seed=settings.seed)
    _warn(settings, images)
    final = Final(test, complete, timeout, attack_steps, attack_restarts)
    plan = Plan(out, images, settings, arch, source, normalise, final)
    show = _Display(settings.epochs)
    try:
        finished = execute(plan, overwrite=overwrite, on_epoch=show.epoch, watch=show.watch)
    except KeyboardInterrupt:
        show.close()
        _say("interrupted; the same command goes on from here")
        raise
    finally:
        show.close()
    _report(finished, out)
    return 0


def _parsed(name: str, value: Any) -> Any:
    """Lists come as text: `0.7,0.9`, or `none`."""
    kind = next(entry.type for entry in _OWN if entry.name == name)
    if not kind.startswith("tuple"):
        return value
    try:
        return () if value == "none" else tuple(float(part) for part in value.split(","))
    except ValueError:
        flag = f"--{name.replace('_', '-')}"
        raise InvalidInput(f"{flag} takes numbers such as 0.7,0.9, or none, got {value!r}") from None


def _with_settings(command: Any) -> Any:
    """Gives the command an option for every setting, in the place of `**given`."""
    signature = inspect.signature(command, eval_str=True)
    parameters = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    for entry in _OWN:
        kind = _TYPES.get(entry.type, str) | None
        flag = f"--{entry.name.replace('_', '-')}"
        names = (f"{flag}/--no-{flag[2:]}",) if entry.type == "bool" else (flag,)
        option = typer.Option(*names, help=help_text(entry.name), show_default=False, rich_help_panel="Settings")
        parameters.append(inspect.Parameter(entry.name, inspect.Parameter.KEYWORD_ONLY, default=None,
                                            annotation=Annotated[kind, option]))
    command.__signature__ = signature.replace(parameters=parameters, return_annotation=int)
    command.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    return command


train = _with_settings(train)


def _warn(settings: Settings, images: Data) -> None:
    from training.data import eps_warning

    warning = eps_warning(settings.eps, images)
    if warning is not None:
        _say(f"warning: {warning}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Display:
    """Progress on standard error: one bar on a terminal, one line per epoch otherwise."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.started, self.bar, self.task = epochs, time.monotonic(), None, None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self.bar = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f}/"
                                "{task.total:.0f}"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
                                console=Console(stderr=True), transient=True)
            self.bar.start()
            self.task = self.bar.add_task("training", total=epochs, note="")

    def epoch(self, epoch: Epoch) -> None:
        note = f"loss {epoch.loss:.4f}  accuracy {100 * epoch.accuracy:.1f} %"
        note += "" if epoch.validation is None else f"  validation {100 * epoch.validation:.1f} %"
        note += "" if epoch.robust is None else f"  attacked {100 * epoch.robust:.1f} %"
        note += f"  eps {epoch.eps:.4g}"
        if self.bar is None:
            _say(f"epoch {epoch.number}/{self.epochs}  {note}  {epoch.seconds:.1f} s")
        else:
            self.bar.update(self.task, completed=epoch.number, note=note)

    def watch(self, phase: str, done: int, total: int) -> None:
        if self.bar is not None:
            self.bar.update(self.task, description=phase, completed=done, total=max(total, 1), note="")

    def close(self) -> None:
        if self.bar is not None:
            self.bar.stop()


def _report(finished: Finished, out: Path) -> None:
    metrics = finished.metrics
    if "clean_all" in metrics:
        whole = metrics["clean_all"]
        print(f"clean accuracy       {100 * whole['share']:5.1f} %  ({whole['images']} test images)")
    for part, names in (("sample", (("robust", "after PGD"), ("crown", "CROWN-verified"))),
                        ("complete", (("verified", "verified"), ("falsified", "falsified"),
                                      ("undecided", "undecided")))):
        for kind, label in names if part in metrics else ():
            found, low_high = metrics[part][kind], metrics[part][kind]["interval"]
            print(f"{label:<20} {100 * found['share']:5.1f} %  [{100 * low_high[0]:.1f}, {100 * low_high[1]:.1f}]  "
                  f"({found['count']} of {metrics[part]['images']} test images, eps {metrics[part]['eps']:g})")
    exported = finished.exported
    print(f"network              {exported.path}  sha256 {exported.sha256[:16]}  within {exported.max_difference:.1e} "
          "of the trained module")
    for note in finished.notes:
        _say(note)
