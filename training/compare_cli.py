"""`verify compare`: before, after and controls on the same images under the same budget. See `training.compare`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from training.compare import Comparison

IMAGES = re.compile(r"(\d+)|(\d+):(\d+)")


def compare(
    networks: Annotated[list[Path], typer.Argument(help="BEFORE AFTER ...: .onnx files, or folders that hold one")],
    data: Annotated[str, typer.Option(help="images: .npz, a folder of IDX files, CIFAR batches or images, or digits")],
    eps: Annotated[float, typer.Option(help="radius of the maximum-norm ball, in units of pixels from 0 to 1")],
    control: Annotated[list[str] | None, typer.Option(
        help="NAME=FILE, several times: more-epochs, random-mask, rs, ibp, or a name of your own")] = None,
    images: Annotated[str, typer.Option(help="how many test images (seeded, every class in proportion), or which: 0:200"
                                        )] = "100",
    timeout: Annotated[float, typer.Option(help="seconds of complete verification per image; 0: CROWN alone")] = 10.0,
    out: Annotated[Path | None, typer.Option(help="folder for report.md, .csv, .json and figures")] = None,
    method: Annotated[str, typer.Option(help="engine, see `verify methods`")] = "portfolio",
    intermediate: Annotated[str, typer.Option(help="CROWN's bounds of hidden layers: crown or ibp")] = "crown",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N")] = "auto",
    dtype: Annotated[str, typer.Option(help="of the bounds: auto, float32 or float64")] = "auto",
    steps: Annotated[int, typer.Option(help="gradient steps of each attack")] = 50,
    restarts: Annotated[int, typer.Option(help="random starts of each attack")] = 2,
    seed: Annotated[int, typer.Option(help="of the choice of images and of the attacks")] = 0,
) -> int:
    """Compares networks image by image: clean, PGD, verified accuracy, unstable neurons, time, with controls.

    With --out an interrupted comparison goes on where it was.
    """
    from training.attacks import Attack
    from training.compare import compare as measure
    from training.compare import parse_controls
    from training.compare_report import write_report
    from training.data import eps_warning, load
    from training.evaluate import Options
    from verify.runtime import configure

    configure()
    if out is not None and out.exists() and not out.is_dir():
        _refuse(f"--out takes a folder, {out} is a file")
    attacks = tuple(Attack(kind, steps, restarts) for kind in ("pgd", "apgd-ce", "apgd-dlr"))
    options = Options(eps, attacks=attacks, timeout=timeout or None, method=method, intermediate=intermediate,
                      device=device, dtype=dtype, seed=seed)
    controls = parse_controls(control or [])
    # Only test images are looked at.
    chosen = load(data, train=1, validation=0.0, test=parse_images(images), seed=seed)
    warning = eps_warning(eps, chosen)
    if warning is not None:
        print(f"warning: {warning}", file=sys.stderr)
    found = measure(networks[0], networks[1:], controls, chosen, options, watch=_watch(),
                    journal=None if out is None else out / "journal.jsonl", notes=() if warning is None else (warning,))
    _clear()
    _show(found)
    if out is not None:
        print(f"written: {', '.join(str(path) for path in write_report(found, out))}", file=sys.stderr)
    return 0


def parse_images(text: str) -> int | range:
    """`200` images chosen by seed, or those at positions `0:200`. Raises `InvalidInput`."""
    match = IMAGES.fullmatch(text)
    if match is None or (match[1] is None and int(match[2]) >= int(match[3])):
        _refuse(f"--images takes a number such as 200, or positions such as 0:200, got {text!r}")
    return int(match[1]) if match[1] is not None else range(int(match[2]), int(match[3]))


def _refuse(message: str) -> None:
    from verify.errors import InvalidInput

    raise InvalidInput(message)


def _watch() -> Any:
    """One live line on standard error, where that is a terminal."""
    if not sys.stderr.isatty():
        return lambda *_: None

    def show(network: str, phase: str, done: int, total: int) -> None:
        sys.stderr.write(f"\r\x1b[K{network}: {phase} {done}/{total}")
        sys.stderr.flush()

    return show


def _clear() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def _show(found: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table

    from training import compare_report as report

    # A file or a pipe gets whole lines, however long.
    console = Console() if sys.stdout.isatty() else Console(width=240)
    for title, (heads, rows) in (("accuracy", report.accuracy_table(found)),
                                 (f"against {found.before.name}, image by image", report.paired_table(found)),
                                 ("cost", report.cost_table(found)), ("ReLU layers", report.layer_table(found))):
        table = Table(title=title, title_justify="left", header_style="bold")
        for head in heads:
            table.add_column(head, justify="left" if head in ("network", "role", "node", "sha256") else "right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for line in report.conditions(found):
        console.print(f"- {line}", highlight=False, soft_wrap=True)
