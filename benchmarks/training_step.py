"""How long one step of certified training takes here and with auto_LiRPA: same network, batch, loss; in turns.

    python -m benchmarks.training_step [--networks mlp-3x256,cnn-a,cnn-b] [--recipes ibp,crown-ibp] [--batch 64]
                                       [--turns 30] [--shape 1,28,28] [--device cpu] [--threads 1] [--out rows.csv]

A step: clean forward pass, bounds, loss, backward pass, Adam. `ibp`: cross-entropy of the clean logits and of the worst
margins, half each. `crown-ibp`: the fused loss, half CROWN and half IBP. Images are random, the weights at the start
equal, and both first losses are printed: they must agree. The order changes from turn to turn. `ratio` is ours over
theirs, turn by turn: median and quartiles. `memory`: what 3 steps add to the largest resident size of a fresh process
(on CUDA: to the largest allocation).

auto_LiRPA (github.com/Verified-Intelligence/auto_LiRPA) is used as its documentation says, and needed by nothing else:
without it our step alone is measured, and a message says so.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.machine import Machine, commit
from benchmarks.process import ROOT
from benchmarks.summary import aligned
from training.files import write_text
from training.models import build
from training.settings import recipe_module, settings_for
from training.step import CERTIFIED, Step
from verify.errors import InvalidInput, VerifyError
from verify.live import LiveNetwork

NETWORKS, EPS, CLASSES, WARM_UP, RATE = ("mlp-3x256", "cnn-a", "cnn-b"), 0.05, 10, 3, 5e-4
SIDES = ("ours", "auto_LiRPA")
MISSING = "auto_LiRPA is not installed (github.com/Verified-Intelligence/auto_LiRPA): only our step is measured"


@dataclass(frozen=True)
class Task:
    """One step to be measured."""

    network: str
    recipe: str
    shape: tuple[int, ...]
    batch: int
    device: str

    def images(self) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(1)
        x = torch.rand(self.batch, *self.shape, generator=generator)
        return x.to(self.device), torch.randint(CLASSES, (self.batch,), generator=generator).to(self.device)

    def model(self) -> nn.Module:
        return build(self.network, self.shape, CLASSES, seed=0).to(self.device).train()


@dataclass(frozen=True)
class Row:
    """Milliseconds per step (medians), their ratio turn by turn, first losses, memory in MiB."""

    network: str
    recipe: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    quarter: float
    three_quarters: float
    our_loss: float
    their_loss: float
    our_memory: float
    their_memory: float


def ours(task: Task) -> Callable[[], float]:
    """A function that makes one step and returns the loss before it."""
    model, (x, y) = task.model(), task.images()
    settings = settings_for(task.recipe, eps=2 * EPS, ramp=(0.0, 1.0), ramp_shape="linear", batch=task.batch,
                            kappa=(1.0, 0.0) if task.recipe == "ibp" else (0.0, 0.0))
    network = LiveNetwork(model, task.shape)
    loss, optimizer = recipe_module(task.recipe).loss, torch.optim.Adam(model.parameters(), RATE)

    def step() -> float:
        # Half way along the ramp: eps, and half CROWN, or half of the clean loss.
        return _descend(loss(Step(model, x, y, settings, 0.5, lambda: network)), optimizer)

    return step


def theirs(task: Task) -> Callable[[], float]:
    """The same step by auto_LiRPA. Raises `ImportError` without it."""
    from auto_LiRPA import BoundedModule, BoundedTensor, CrossEntropyWrapper, PerturbationLpNorm
    from auto_LiRPA.operators import BoundExp
    from auto_LiRPA.utils import get_spec_matrix

    _load_onnx_symbols()
    model, (x, y) = task.model(), task.images()
    dummy, label = torch.zeros(2, *task.shape, device=task.device), torch.zeros(1, dtype=torch.long, device=task.device)
    fused = task.recipe == "crown-ibp"
    bounded = (BoundedModule(CrossEntropyWrapper(model), (dummy, label), {"loss_fusion": True}, device=task.device)
               if fused else BoundedModule(model, dummy, device=task.device))
    bounded.train()
    optimizer = torch.optim.Adam(bounded.parameters(), RATE)

    def ball() -> Tensor:
        return BoundedTensor(x, PerturbationLpNorm(norm=math.inf, eps=EPS, x_L=(x - EPS).clamp(min=0),
                                                   x_U=(x + EPS).clamp(max=1)))

    def ibp_step() -> float:
        given, rows = ball(), get_spec_matrix(x, y, CLASSES)
        clean = F.cross_entropy(bounded(given), y)
        low, _ = bounded.compute_bounds(x=(given,), IBP=True, C=rows, method=None)
        worst = -F.pad(low, (1, 0))
        return _descend(0.5 * clean + 0.5 * F.cross_entropy(worst, torch.zeros_like(y)), optimizer)

    def fused_step() -> float:
        given = ball()
        bounded(given, y)
        _, coarse = bounded.compute_bounds(x=(given, y), IBP=True, C=None, method=None)
        # Without x: on the intervals that were just computed.
        _, fine = bounded.compute_bounds(IBP=False, C=None, method="backward", bound_lower=False, bound_upper=True)
        exponent = next(part for part in bounded.modules() if isinstance(part, BoundExp))
        return _descend((torch.log(0.5 * fine + 0.5 * coarse) + exponent.max_input).mean(), optimizer)

    return fused_step if fused else ibp_step


def _load_onnx_symbols() -> None:
    """auto_LiRPA reads networks through torch's ONNX symbols, which recent versions of torch load at the first export.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(nn.Linear(1, 1), (torch.zeros(1, 1),), io.BytesIO(), opset_version=12, dynamo=False)


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def seconds(step: Callable[[], float], device: str) -> float:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()  # ends with the loss as a number: what was queued is done
    return time.perf_counter() - started


def measure(task: Task, turns: int, both: bool) -> Row:
    """One row; without `both`, of our side alone."""
    steps = [ours(task), theirs(task)] if both else [ours(task)]
    losses = [step() for step in steps]
    for step in steps:
        for _ in range(WARM_UP):
            step()
    times: list[list[float]] = [[] for _ in steps]
    for turn in range(turns):
        for side in range(len(steps)) if turn % 2 == 0 else reversed(range(len(steps))):
            times[side].append(seconds(steps[side], task.device))
    ratios = [a / b for a, b in zip(*times, strict=True)] if both else [math.nan] * 2
    quarters = statistics.quantiles(ratios, n=4) if both else [math.nan] * 3
    memory = [memory_of(task, side) for side in SIDES[: len(steps)]]
    pad = [math.nan] * (2 - len(steps))
    medians = [1000 * statistics.median(part) for part in times] + pad
    return Row(task.network, task.recipe, *medians, quarters[1], quarters[0], quarters[2], *losses, *pad, *memory, *pad)


def memory_of(task: Task, side: str) -> float:
    """MiB that three steps need, measured in a process of its own."""
    code = ("import json, sys; from benchmarks.training_step import Task, grown; "
            "print(grown(Task(**json.loads(sys.argv[1])), sys.argv[2]))")
    done = subprocess.run([sys.executable, "-c", code, json.dumps(asdict(task)), side], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    return float(done.stdout.split()[-1]) if done.returncode == 0 else math.nan


def grown(task: Task, side: str) -> float:
    """Inside that process."""
    step = (ours if side == SIDES[0] else theirs)(Task(**{**asdict(task), "shape": tuple(task.shape)}))
    if task.device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for _ in range(3):
            step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return math.nan
    reset.write_text("5")  # the peak starts again at the present size
    before = _resident(status, "VmRSS")
    for _ in range(3):
        step()
    return _resident(status, "VmHWM") - before


def _resident(status: Path, what: str) -> float:
    """MiB of a line such as `VmHWM:  123 kB`."""
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(what)) / 1024


def installed() -> bool:
    """Whether auto_LiRPA can be used."""
    try:
        import auto_LiRPA  # noqa: F401
    except ImportError:
        return False
    return True


def tasks(asked: argparse.Namespace) -> list[Task]:
    """Raises `InvalidInput`."""
    recipes = asked.recipes.split(",")
    if not set(recipes) <= set(CERTIFIED):
        raise InvalidInput(f"--recipes takes {', '.join(CERTIFIED)}, got {asked.recipes!r}")
    try:
        shape = tuple(int(size) for size in asked.shape.split(","))
    except ValueError as error:
        raise InvalidInput(f"--shape takes channels,height,width, got {asked.shape!r}") from error
    found = [Task(network, recipe, shape, asked.batch, asked.device)
             for network in asked.networks.split(",") for recipe in recipes]
    for task in found:
        task.model()  # unknown networks, small images
    return found


def report(rows: Sequence[Row]) -> str:
    """A table for people."""
    heads = [entry.name for entry in fields(Row)]
    return aligned([heads, *[[_text(value) for value in asdict(row).values()] for row in rows]])


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0; 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--recipes", default=",".join(CERTIFIED))
    parser.add_argument("--shape", default="1,28,28")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    for name, default in (("batch", 64), ("turns", 30), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    both = installed()
    try:
        work = tasks(asked)
        rows = [measure(task, max(asked.turns, 2), both) for task in work]
        if asked.out is not None:
            write_text(asked.out, _csv(rows))
    except VerifyError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if not both:
        sys.stderr.write(f"{MISSING}\n")
    machine = Machine.this()
    sys.stdout.write(f"{report(rows)}\n\n{machine.cpu}, {asked.threads} thread(s), {asked.device}, torch "
                     f"{machine.torch}, batch {asked.batch}, {asked.turns} turns, commit {commit()}\n")
    return 0


def _csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [entry.name for entry in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
