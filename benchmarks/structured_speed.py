"""How much faster is verification after structured pruning? Dense and compacted network on the same images, in turns.

    python -m benchmarks.structured_speed [--data cifar.npz] [--images 8] [--eps 0.00196] [--out rows.csv]

Networks: `dense`, an architecture (CNN-B) as trained; `convs`, half the channels of each convolution removed, those of
smallest L1 norm; `all`, half of the hidden neurons too; and the `masked` twin of each, with zeros instead of fewer
channels: the same function at full size, which separates what compaction gives from what other weights give.
With `--data` they are trained shortly (single-step adversarial training at the same eps; all of them for as many
epochs, the pruned ones with their mask after the first half); without, images and weights are random.

Property: no point within eps of the image, pixels in [0, 1], gets another class than the image gets from that network.
Every image is decided by all networks one after the other, the first one changing from image to image, once by CROWN
bounds alone and once by the whole pipeline. Ratios are per image and do not depend on the machine; a run that reached
the time limit counts with the time it took. A smaller network is another function and may get another verdict, in much
more or less time: the ratio over the images with equal verdicts, and the one to the masked twin, leave that out.
Processor seconds are given too: other work on the machine matters less.
"""

from __future__ import annotations

import argparse
import copy
import csv
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from torch import Tensor, nn

import verify
from benchmarks.machine import Machine, commit
from benchmarks.summary import aligned
from pruning.compact import compact, compared, masked
from pruning.layers import Scope
from pruning.mask import Mask, tighten
from training.data import Data, from_arrays, load
from training.export import export_onnx
from training.files import write_text
from training.loop import train
from training.models import build, relu_count
from training.settings import settings_for
from verify.errors import VerifyError

SCOPES = ("convs", "all")
NETWORKS = ("dense", "convs masked", "convs", "all masked", "all")
METHODS = ("crown", "portfolio")
CLASSES = 10


@dataclass(frozen=True)
class Row:
    """One decision: `position` in the turn, from 0."""

    image: int
    method: str
    network: str
    position: int
    verdict: str
    reason: str
    seconds: float
    processor: float


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Measures and reports; that a ratio is low is no error."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structured_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="labelled images, anything that `verify train --data` reads")
    parser.add_argument("--arch", default="cnn-b", help="architecture")
    parser.add_argument("--size", type=int, default=32, help="height and width of random images")
    parser.add_argument("--images", type=int, default=8, help="images to decide")
    parser.add_argument("--eps", type=float, default=0.5 / 255, help="radius, pixels in [0, 1]")
    parser.add_argument("--epochs", type=int, default=4, help="training epochs of every network (with --data)")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds per decision")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, training and random images")
    parser.add_argument("--out", type=Path, help="CSV file for all decisions")
    asked = parser.parse_args(arguments)
    try:
        machine = Machine.this()
        print(f"{commit()} | {machine.cpu} | {machine.cores} cores | python {machine.python} | torch {machine.torch}")
        print(report(run(asked)))
    except VerifyError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def run(asked: argparse.Namespace) -> list[Row]:
    """Makes the networks and takes the measurements; prints what they are made on."""
    data = load(asked.data, seed=asked.seed) if asked.data else random_data(asked.size, asked.images, asked.seed)
    epochs = asked.epochs if asked.data else 0
    networks = made(data, asked.arch, asked.eps, epochs, asked.seed)
    images = data.x_test[: asked.images]
    trained = f"trained {epochs} epochs on {len(data.x_train)} images of {data.name}" if epochs else "random weights"
    print(f"{asked.arch}, {trained}; {len(images)} {'test images' if asked.data else 'random images'}, "
          f"eps {asked.eps:.6g}, time limit {asked.timeout:g} s")
    lines = [("network", "parameters", "ReLUs", "accuracy %", "difference to masked")]
    for name, network in networks.items():
        with torch.no_grad():
            right = 100 * (network(data.x_test).argmax(1) == data.y_test).float().mean().item()
        twin = networks.get(f"{name} masked")
        same = None if twin is None else compared(twin, network, data.input_shape).difference
        lines.append((name, str(sum(p.numel() for p in network.parameters())),
                      str(relu_count(network, data.input_shape)), f"{right:.1f}" if asked.data else "-",
                      "-" if same is None else f"{same:.1e}"))
    print(aligned(lines))
    rows: list[Row] = []
    for row in measured(networks, images, asked.eps, asked.timeout):
        rows.append(row)
        if asked.out is not None and len(rows) % (len(NETWORKS) * len(METHODS)) == 0:
            write_text(asked.out, as_csv(rows))  # after every image: a long run may be cut short
    return rows


def random_data(size: int, count: int, seed: int) -> Data:
    """Uniform random images; the labels mean nothing."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count + 2 * CLASSES, 3, size, size, generator=generator)
    y = torch.arange(len(x)) % CLASSES
    return from_arrays(x[count:], y[count:], x[:count], y[:count], name="random", validation=0)


def made(data: Data, arch: str, eps: float, epochs: int, seed: int) -> dict[str, nn.Module]:
    """The `NETWORKS`, in evaluation mode."""
    dense = build(arch, data.input_shape, CLASSES, data.mean, data.std, seed)
    first, rest = epochs // 2, epochs - epochs // 2
    _train(dense, data, eps, first, seed)
    found = {"dense": dense}
    small = {scope: copy.deepcopy(dense) for scope in SCOPES}
    _train(dense, data, eps, rest, seed + 1)
    for scope, network in small.items():
        mask = halved(network, scope)
        mask.apply(network)
        _train(network, data, eps, rest, seed + 1, mask)
        removed = {name.removesuffix(".weight"): ~unit for name, unit in mask.units().items()}
        found[f"{scope} masked"] = masked(network, removed)
        found[scope] = compact(network, data.input_shape, removed)
    return {name: network.eval() for name, network in found.items()}


def halved(network: nn.Module, scope: str) -> Mask:
    """Keeps, in every convolution (`convs`) or hidden layer (`all`), the half of channels with the largest L1 norm."""
    mask = Mask.ones(network, Scope("conv" if scope == "convs" else "all"), structured=True)
    scores = {name: network.get_parameter(name).detach().abs().flatten(1).sum(1) for name in mask.units()}
    return tighten(mask, scores, 0.5, per_layer=True)


def _train(network: nn.Module, data: Data, eps: float, epochs: int, seed: int, mask: Mask | None = None) -> None:
    if epochs:
        settings = settings_for("fgsm", eps=eps, epochs=epochs, gradalign=0, lr=0.02, lr_drops=(), batch=64, seed=seed,
                                device="cpu")
        train(network, data, settings, after_step=None if mask is None else mask.apply)


def measured(networks: dict[str, nn.Module], images: Tensor, eps: float, timeout: float) -> Iterator[Row]:
    """Every network on every image by every method, in turns."""
    with tempfile.TemporaryDirectory(prefix="verify-bench-") as folder:
        files = {name: export_onnx(network, tuple(images.shape[1:]), Path(folder, f"{name}.onnx")).path
                 for name, network in networks.items()}
        for method in METHODS:  # what only the first call pays is not counted
            verify.verify(files["all"], verify.robustness(images[0], 0.0, 0, CLASSES), method=method, timeout=timeout)
        for k, image in enumerate(images):
            specs = {}
            for name, network in networks.items():
                with torch.no_grad():
                    specs[name] = verify.robustness(image, eps, int(network(image[None]).argmax()), CLASSES, (0, 1))
            turn = [*networks][k % len(networks) :] + [*networks][: k % len(networks)]
            for method in METHODS:
                for position, name in enumerate(turn):
                    start, busy = time.perf_counter(), time.process_time()
                    result = verify.verify(files[name], specs[name], method=method, timeout=timeout, device="cpu")
                    seconds, processor = time.perf_counter() - start, time.process_time() - busy
                    reason = "" if result.reason is None else result.reason.value
                    yield Row(k, method, name, position, result.verdict.value, reason, seconds, processor)


def as_csv(rows: Sequence[Row]) -> str:
    """One line per decision, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


def report(rows: Sequence[Row]) -> str:
    """Per method the verdicts, then medians per network and ratios per image: of the dense network to this one, that
    over images where both verdicts are equal, and of the masked twin; the middle half of the images in brackets."""
    return "\n\n".join(part for method in METHODS for part in (
        _verdicts(method, [row for row in rows if row.method == method]),
        *(_times(method, [row for row in rows if row.method == method], what) for what in ("seconds", "processor"))))


def _verdicts(method: str, rows: Sequence[Row]) -> str:
    verdicts = ("verified", "falsified", "unknown")
    return aligned([(method, *verdicts), *(
        (name, *(str(sum(row.network == name and row.verdict == verdict for row in rows)) for verdict in verdicts))
        for name in NETWORKS)])


def _times(method: str, rows: Sequence[Row], what: str) -> str:
    lines = [(f"{method}, {what}", "median", "dense / it", "equal verdicts", "", "masked / it")]
    by = {(row.network, row.image): row for row in rows}
    images = sorted({row.image for row in rows})

    def ratio(other: str, name: str, chosen: Sequence[int]) -> str:
        return _spread([getattr(by[other, k], what) / getattr(by[name, k], what) for k in chosen])

    for name in NETWORKS:
        equal = [k for k in images if by["dense", k].verdict == by[name, k].verdict]
        median = statistics.median(getattr(by[name, k], what) for k in images)
        twin = f"{name} masked"
        lines.append((name, f"{median:.3g}", ratio("dense", name, images), ratio("dense", name, equal), str(len(equal)),
                      ratio(twin, name, images) if twin in NETWORKS else "-"))
    return aligned(lines)


def _spread(ratios: Sequence[float]) -> str:
    """Median and quartiles."""
    if not ratios:
        return "-"
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [*ratios] * 3
    return f"{statistics.median(ratios):.2f} ({low:.2f} - {high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
