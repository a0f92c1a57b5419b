"""`verify graft`: the command line of `grafting.run`. Everything heavy is imported inside the command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grafting.run import Finished
    from training.loop import Epoch


def register(app: typer.Typer) -> None:
    """Adds the command to a typer application."""
    app.command("graft")(graft)


def graft(
    model: Annotated[Path, typer.Argument(help="network: the folder of a `verify train`, or an .onnx file")],
    data: Annotated[str, typer.Option(help="images: .npz, a folder of IDX files, CIFAR batches or images, or digits")],
    eps: Annotated[float, typer.Option(help="radius of the maximum-norm ball, in units of pixels from 0 to 1")],
    out: Annotated[Path, typer.Option(help="folder of the run: model.onnx, selection.npz, manifest.json, report")],
    score: Annotated[str, typer.Option(help="which neurons: paper, paper-magnitude, random, low-magnitude, "
                                            "instability, area, weighted-area, replacement-error")] = "low-magnitude",
    ratio: Annotated[float, typer.Option(help="share of the ReLU neurons that become lines, in [0, 1)")] = 0.5,
    layerwise: Annotated[bool, typer.Option("--layerwise", help="this share of every layer, not of all neurons"
                                            )] = False,
    rounds: Annotated[int, typer.Option(help="grow to the ratio in so many rounds, scores computed anew in each")] = 1,
    init: Annotated[str, typer.Option(help="slopes and intercepts: least-squares, paper (0.4, 0), or zero (neurons are "
                                           "pruned)")] = "least-squares",
    bounds: Annotated[str, typer.Option(help="where instability comes from: alpha-crown, or crown (faster)")
                      ] = "alpha-crown",
    calibration: Annotated[int, typer.Option(help="training images for scores and least squares")] = 500,
    bounded: Annotated[int, typer.Option(help="so many of them for bounds")] = 100,
    finetune_epochs: Annotated[int, typer.Option(help="passes over the training images afterwards")] = 0,
    recipe: Annotated[str | None, typer.Option(help="loss of fine-tuning (default: that of the network's own training, "
                                                    "else fgsm)")] = None,
    freeze_weights: Annotated[bool, typer.Option("--freeze-weights", help="train slopes and intercepts only")] = False,
    certified: Annotated[float, typer.Option(help="weight in [0, 1] of interval bounds in fine-tuning, clean loss for "
                                                  "the rest")] = 0.0,
    transfer: Annotated[bool, typer.Option("--transfer", help="bound how far the network moved, and say for which "
                                                              "images the original is certified, too")] = False,
    controls: Annotated[bool, typer.Option("--controls", help="train the controls: more epochs, random neurons, RS "
                                                              "regulariser, interval bounds")] = False,
    control_epochs: Annotated[int | None, typer.Option(help="of the controls that train on (default: as fine-tuning, "
                                                            "10 without)")] = None,
    train: Annotated[int | None, typer.Option(help="take so many training images (default: all)")] = None,
    validation: Annotated[float, typer.Option(help="share of them set aside for validation")] = 0.1,
    test: Annotated[int, typer.Option(help="test images of the report (seeded, every class in proportion)")] = 100,
    timeout: Annotated[float, typer.Option(help="seconds of complete verification per test image")] = 10.0,
    seed: Annotated[int, typer.Option(help="of everything random")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="remove the run that the folder holds")] = False,
) -> int:
    """Replaces ReLU neurons by lines, and reports what that gained and cost.

    Certificates are about the new network, model.onnx, not about the original. An interrupted run goes on when it is
    asked for again.
    """
    from grafting.choices import Choices
    from grafting.run import Plan, Watch, execute
    from training.data import eps_warning, load
    from verify.runtime import configure

    configure()
    choices = Choices(eps, score, ratio, layerwise, rounds, init, bounds, calibration, bounded, finetune_epochs, recipe,
                      freeze_weights, certified, seed, device)
    images = load(data, validation=validation, train=train, test=test, seed=seed)
    warning = eps_warning(eps, images)
    if warning is not None:
        _say(f"warning: {warning}")
    plan = Plan(model, out, images, choices, timeout, controls, control_epochs, transfer,
                () if warning is None else (warning,))
    try:
        done = execute(plan, overwrite=overwrite, watch=Watch(_say, _epoch, _live if sys.stderr.isatty() else _nothing))
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        raise
    _report(done, out)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _epoch(epoch: Epoch) -> None:
    validation = "" if epoch.validation is None else f"  validation {100 * epoch.validation:.1f} %"
    _say(f"epoch {epoch.number}  loss {epoch.loss:.4f}  accuracy {100 * epoch.accuracy:.1f} %{validation}")


def _nothing(network: str, phase: str, done: int, total: int) -> None:
    pass


def _live(network: str, phase: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r\x1b[K{network}: {phase} {done}/{total}\r")
    sys.stderr.flush()


def _report(done: Finished, out: Path) -> None:
    from training.compare_report import accuracy_table

    heads, rows = accuracy_table(done.comparison)
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    exported = done.exported
    print(f"lines    {exported.lines} of {exported.neurons} ReLU neurons")
    print(f"network  {exported.path}  SHA-256 {exported.sha256}  within {exported.max_difference:.1e} of the module")
    print("         certificates are about this network, not about the original")
    if done.transferred is not None:
        print(f"bridge   the original is certified, too, for {done.transferred[0]} of the {done.transferred[1]} "
              "verified images")
    _say(f"written: {out / 'report.md'} and more")
