"""`verify prune`: the command line of `pruning.run`. Everything heavy is imported inside the command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pruning.rounds import Round
    from pruning.run import Finished
    from training.loop import Epoch


def register(app: typer.Typer) -> None:
    """Adds the command to a typer application."""
    app.command("prune")(prune)


def prune(
    model: Annotated[Path, typer.Argument(help="network: the folder of a `verify train`, or an .onnx file")],
    data: Annotated[str, typer.Option(help="images: .npz, a folder of IDX files, CIFAR batches or images, or digits")],
    out: Annotated[Path, typer.Option(help="folder of the run: model.onnx, rounds, manifest.json, report")],
    criterion: Annotated[str, typer.Option(help="what stays: random, magnitude, snip, grasp, synflow, taylor, hydra; "
                                                "for channels also slimming, nrs, instability, relaxation-area"
                                           )] = "magnitude",
    remaining: Annotated[str, typer.Option(help="share kept after each round, such as 0.5,0.25; a rate and a number of "
                                                "rounds such as 0.2x16; or paper, paper-structured")] = "0.5,0.25,0.12",
    structured: Annotated[bool, typer.Option("--structured", help="prune channels and neurons: the network gets "
                                                                  "smaller")] = False,
    scope: Annotated[str, typer.Option(help="conv (convolutions; hidden linear layers where there are none), or all "
                                            "(every layer but the last)")] = "conv",
    exclude_first: Annotated[bool, typer.Option("--exclude-first", help="leave the first layer as it is")] = False,
    exclude_last: Annotated[bool, typer.Option("--exclude-last", help="leave the last layer in scope as it is"
                                               )] = False,
    per_layer: Annotated[bool, typer.Option("--per-layer", help="the same share in every layer")] = False,
    when: Annotated[str, typer.Option(help="scores of the trained network of each round, or at init")] = "trained",
    rewind: Annotated[str | None, typer.Option(help="weights that each round is trained from: init, epoch:K, or none "
                                                    "(fine-tuning). Default: init where it is known")] = None,
    recipe: Annotated[str | None, typer.Option(help="how rounds are trained (default: as the network was)")] = None,
    eps: Annotated[float | None, typer.Option(help="radius of the maximum-norm ball, in units of pixels from 0 to 1"
                                              )] = None,
    epochs: Annotated[int | None, typer.Option(help="of every round")] = None,
    batch: Annotated[int | None, typer.Option(help="images per step")] = None,
    lr: Annotated[float | None, typer.Option(help="learning rate at the start of every round")] = None,
    rs: Annotated[float | None, typer.Option(help="weight of the RS regulariser in training")] = None,
    nrs: Annotated[float | None, typer.Option(help="weight of the NRS regulariser in training")] = None,
    l1_scales: Annotated[float | None, typer.Option(help="weight of |scale| of batch norms in training, for slimming"
                                                    )] = None,
    max_drop_clean: Annotated[float, typer.Option(help="validation accuracy a round may lose, as a share")] = 0.05,
    max_drop_pgd: Annotated[float, typer.Option(help="the same under attack")] = 0.05,
    patience: Annotated[int, typer.Option(help="stop after so many rounds without a better verified validation "
                                               "accuracy; 0: never")] = 0,
    score_images: Annotated[int, typer.Option(help="training images that scores are computed on")] = 1024,
    check_images: Annotated[int, typer.Option(help="validation images that every round is attacked and bounded on"
                                              )] = 200,
    bounds: Annotated[str, typer.Option(help="CROWN's bounds of hidden layers: crown, or ibp (looser, much faster on "
                                             "large networks)")] = "crown",
    lossless: Annotated[str, typer.Option(help="bounds of the lossless passes before and after: off, ibp or crown"
                                          )] = "ibp",
    controls: Annotated[bool, typer.Option("--controls", help="train the controls: more epochs, random mask, RS "
                                                              "regulariser, interval bounds")] = False,
    train: Annotated[int | None, typer.Option(help="take so many training images (default: all)")] = None,
    validation: Annotated[float, typer.Option(help="share of them set aside for validation")] = 0.1,
    test: Annotated[int, typer.Option(help="test images of the report (seeded, every class in proportion)")] = 100,
    timeout: Annotated[float, typer.Option(help="seconds of complete verification per test image; 0: CROWN alone"
                                           )] = 10.0,
    seed: Annotated[int | None, typer.Option(help="of everything random (default: the network's)")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="remove the run that the folder holds")] = False,
) -> int:
    """Prunes a network round by round, and reports what that gained and cost.

    Every round scores, prunes, rewinds, trains and measures; validation images choose the round, test images are for
    the report. An interrupted run goes on when it is asked for again.
    """
    from pruning.plan import Plan
    from pruning.run import Work, execute
    from pruning.schedule import parse_ratios
    from pruning.start import chosen_test, has_initial, settings_of, split_note
    from training.data import eps_warning, load
    from training.export import load_model
    from verify.runtime import configure

    configure()
    loaded = load_model(model)
    changes = {"eps": eps, "epochs": epochs, "batch": batch, "lr": lr, "rs": rs, "nrs": nrs, "l1_scales": l1_scales,
               "seed": seed, "device": device}
    settings = settings_of(loaded, recipe, {name: value for name, value in changes.items() if value is not None})
    plan = Plan(criterion, parse_ratios(remaining), structured, scope, exclude_first, exclude_last, per_layer,
                when=when, rewind=rewind or ("init" if has_initial(loaded) else "none"), score_images=score_images,
                check_images=check_images, max_drop_clean=max_drop_clean, max_drop_pgd=max_drop_pgd, patience=patience,
                bounds=bounds, seed=settings.seed)
    images = load(data, validation=validation, train=train, seed=settings.seed)
    notes = [note for note in (split_note(loaded, images), eps_warning(settings.eps, images)) if note is not None]
    for note in notes:
        _say(f"warning: {note}")
    work = Work(model, loaded, out, chosen_test(images, test, settings.seed), settings, plan, timeout or None, lossless,
                controls, tuple(notes))
    try:
        done = execute(work, overwrite=overwrite, watch=_watch())
    except KeyboardInterrupt:
        _say("interrupted; the same command goes on from here")
        raise
    _report(done, out)
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _watch():
    from pruning.run import Watch

    return Watch(_say, _round, _epoch, _live if sys.stderr.isatty() else lambda *_: None)


def _round(made: Round) -> None:
    check = made.check
    _say(f"round {made.index}  {made.remaining:.3g} remaining ({made.whole:.3g} of all parameters)  validation: clean "
         f"{100 * check.clean:.1f} %  PGD {100 * check.pgd:.1f} %  CROWN {100 * check.verified:.1f} %  unstable "
         f"{100 * check.unstable:.1f} %")


def _epoch(epoch: Epoch) -> None:
    validation = "" if epoch.validation is None else f"  validation {100 * epoch.validation:.1f} %"
    _say(f"  epoch {epoch.number}  loss {epoch.loss:.4f}  accuracy {100 * epoch.accuracy:.1f} %{validation}")


def _live(network: str, phase: str, done: int, total: int) -> None:
    sys.stderr.write(f"\r\x1b[K{network}: {phase} {done}/{total}\r")
    sys.stderr.flush()


def _report(done: Finished, out: Path) -> None:
    from pruning.run import selection
    from training.compare_report import accuracy_table

    heads, rows = accuracy_table(done.comparison)
    widths = [max(len(row[k]) for row in (heads, *rows)) for k in range(len(heads))]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(selection(done.pruned))
    if done.ticket is not None:
        print(f"ticket   {done.ticket.verdict}")
    best = done.pruned.best
    print(f"network  {done.pruned.onnx}  SHA-256 {best.files['model.onnx']}  within {best.difference:.1e} of the "
          "masked module")
    print("         certificates are about this network, not about the original")
    _say(f"written: {out / 'report.md'}, {out / 'rounds.md'} and more")
