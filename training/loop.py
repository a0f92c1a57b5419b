"""The training loop: batches, schedules, checkpoints. What is minimised is the recipe's business.

Runs are reproducible: all randomness of an epoch comes from torch's generators, seeded by (seed, epoch) while the epoch
lasts. On a processor equal settings, data and start give bitwise equal weights, also when a run is interrupted between
or within epochs and continued from its checkpoint. (On CUDA some kernels of torch are not deterministic.)
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training import schedules
from training.augment import augmented
from training.checkpoint import Checkpoint, fingerprint, read, write
from training.data import Data
from training.losses.pgd import attack
from training.losses.stability import regulariser
from training.settings import Settings, recipe_module
from training.step import Step, evaluating
from verify.errors import InvalidInput
from verify.live import NORMALISATIONS, LiveNetwork

ON_DEVICE = 4 << 30
"""Training images of at most so many bytes are kept on the accelerator."""
VALIDATION_ATTACK = 10
"""Steps of the attack by which `keep="best"` compares epochs."""


@dataclass(frozen=True)
class Epoch:
    """One epoch's record. `accuracy`: on the inputs of the recipe's own training pass (attacked ones in fgsm and
    pgd-at); `validation`: clean accuracy of the validation images at the end, None without any; `robust`: under attack,
    where `keep="best"` asks for it. `eps`, `kappa`, `rate`: at the epoch's last step."""

    number: int
    loss: float
    accuracy: float
    validation: float | None
    robust: float | None
    eps: float
    kappa: float
    rate: float
    seconds: float


def silent(epoch: Epoch) -> None:
    """The observer that does nothing."""


def train(model: nn.Module, data: Data, settings: Settings, *, run: Path | None = None,
          after_step: Callable[[nn.Module], None] | None = None, groups: list[dict[str, Any]] | None = None,
          on_epoch: Callable[[Epoch], None] = silent) -> list[Epoch]:
    """Trains `model` in place, moves it to the settings' device, and leaves it in evaluation mode.

    run: folder for `checkpoint.pt`, written after every epoch. If there is one of the same run, the training goes on
    from it (or is over); one of another run (settings, data or starting weights) is refused with `InvalidInput`.
    after_step: called with the model after every step (masks). groups: parameter groups of the optimizer, each with its
    own `lr`, `weight_decay`, ... where they differ from the settings'; all trainable parameters by default. on_epoch:
    called with each epoch, first with those that a checkpoint remembers. Raises `InvalidInput` when the loss is no
    longer a number.
    """
    device = device_of(settings)
    _require_fit(model, data, settings)
    identity = fingerprint(model, settings, data)
    model.to(device)
    trainer = _Trainer(model, data, settings, device, after_step, groups)
    path = None if run is None else Path(run) / "checkpoint.pt"
    found = None if path is None else read(path, identity)
    best = trainer.restore(found) if found is not None else None
    history = [Epoch(**record) for record in found.history] if found is not None else []
    for epoch in history:
        on_epoch(epoch)
    for number in range(len(history), settings.epochs):
        history.append(trainer.epoch(number))
        best = trainer.better(best, history)
        if path is not None:
            write(path, trainer.checkpoint(identity, history, best))
        on_epoch(history[-1])
    if best is not None:
        model.load_state_dict(best[1])
    model.eval()
    return history


def _require_fit(model: nn.Module, data: Data, settings: Settings) -> None:
    """Raises `InvalidInput` before anything is trained or written."""
    if settings.keep == "best" and not len(data.x_val):
        raise InvalidInput("--keep best compares epochs on validation images; there are none")
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with evaluating(model), torch.no_grad():
        try:
            shape = tuple(model(data.x_train[:1].to(device)).shape)
        except RuntimeError as error:
            raise InvalidInput(f"the network does not take images of shape {list(data.input_shape)}: "
                               f"{' '.join(str(error).split())}") from error
    if len(shape) != 2 or shape[1] < data.classes:
        raise InvalidInput(f"the network's output for one image has shape {list(shape)}; the data have {data.classes} "
                           f"classes, [1, {data.classes}] is needed")


def device_of(settings: Settings) -> torch.device:
    """The device that the settings name. Raises `InvalidInput` when it is not there."""
    name = settings.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and (not torch.cuda.is_available()
                                    or torch.device(name).index not in (None, *range(torch.cuda.device_count()))):
        raise InvalidInput(f"--device {settings.device}: there is no such CUDA device; use cpu or auto")
    if settings.amp and not name.startswith("cuda"):
        raise InvalidInput("--amp needs a CUDA device")
    return torch.device(name)


class _Trainer:
    """Model, optimizer and data of one training; an epoch at a time."""

    def __init__(self, model: nn.Module, data: Data, settings: Settings, device: torch.device,
                 after_step: Callable[[nn.Module], None] | None, groups: list[dict[str, Any]] | None) -> None:
        self.model, self.data, self.settings, self.device, self.after_step = model, data, settings, device, after_step
        self.loss = recipe_module(settings.recipe).loss
        self.optimizer = _optimizer(model, settings, groups)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.amp and not _bfloat16())
        self.x, self.y = data.x_train, data.y_train
        if device.type == "cuda" and self.x.numel() * self.x.element_size() <= ON_DEVICE:
            self.x, self.y = self.x.to(device), self.y.to(device)
        self._network: LiveNetwork | None = None

    def network(self) -> LiveNetwork:
        """The trace of the model; made once."""
        if self._network is None:
            self._network = LiveNetwork(self.model, self.data.input_shape)
        return self._network

    def epoch(self, number: int) -> Epoch:
        started = time.monotonic()
        with _seeded(self.settings.seed, number, self.device):
            total, hits, progress = self._pass(number)
            over = progress >= self.settings.ramp[1] or number == self.settings.epochs - 1
            robust = self._attacked() if self.settings.keep == "best" and over else None
        loss = float(total) / len(self.x)
        if not math.isfinite(loss):
            raise InvalidInput(f"epoch {number + 1}: the loss is no longer a number; a smaller --lr (now "
                               f"{self.settings.lr:g}) or --clip-grad (now {self.settings.clip_grad:g}) may help")
        validation = accuracy(self.model, self.data.x_val, self.data.y_val) if len(self.data.x_val) else None
        return Epoch(number + 1, loss, int(hits) / len(self.x), validation, robust,
                     schedules.eps(self.settings, progress), schedules.kappa(self.settings, progress),
                     schedules.rate(self.settings, progress) * self.settings.lr, time.monotonic() - started)

    def _pass(self, number: int) -> tuple[Tensor, Tensor, float]:
        """All batches once: sum of the losses, number of hits, progress at the last step."""
        self.model.train()
        batches = torch.randperm(len(self.x)).tensor_split(math.ceil(len(self.x) / self.settings.batch))
        total, hits, progress = torch.zeros((), device=self.device), torch.zeros((), device=self.device), 0.0
        for position, batch in enumerate(batches):
            progress = (number + position / len(batches)) / self.settings.epochs
            batch = batch.to(self.x.device)
            x, y = self.x[batch].to(self.device), self.y[batch].to(self.device)
            x = augmented(x, self.settings.flip, self.settings.shift)
            step = Step(self.model, x, y, self.settings, progress, self.network)
            loss = self._update(step)
            total += loss * len(y)
            hits += (step.logits.detach().argmax(1) == y).sum()
        return total, hits, progress

    def _update(self, step: Step) -> Tensor:
        """One step of the optimizer; the loss before it."""
        settings = self.settings
        factor = schedules.rate(settings, step.progress)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        with self._autocast():
            loss = self.loss(step)
        loss = loss + regulariser(step) if settings.rs or settings.nrs else loss
        if settings.l1_scales:
            loss = loss + settings.l1_scales * _scales(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if settings.clip_grad:
            self.scaler.unscale_(self.optimizer)
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(parameters, settings.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.after_step is not None:
            self.after_step(self.model)
        return loss.detach()

    def _autocast(self):
        if not self.settings.amp:
            return nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16 if _bfloat16() else torch.float16)

    def _attacked(self) -> float:
        """Validation accuracy that epochs are compared by, once the ramp is over."""
        x, y, eps = self.data.x_val, self.data.y_val, self.settings.eps
        if eps == 0 or self.settings.recipe == "standard":
            return accuracy(self.model, x, y)
        return accuracy(self.model, x, y, partial(attack, eps=eps, steps=VALIDATION_ATTACK, size=0.25, random=True))

    def better(self, best: tuple[float, dict] | None, history: list[Epoch]) -> tuple[float, dict] | None:
        """The best epoch so far and its weights, where they are kept."""
        score = history[-1].robust
        if score is None or (best is not None and score <= best[0]):
            return best
        return score, copy.deepcopy(self.model.state_dict())

    def checkpoint(self, identity: str, history: list[Epoch], best: tuple[float, dict] | None) -> Checkpoint:
        return Checkpoint(identity, [vars(epoch) for epoch in history], self.model.state_dict(),
                          self.optimizer.state_dict(), self.scaler.state_dict(), best)

    def restore(self, found: Checkpoint) -> tuple[float, dict] | None:
        self.model.load_state_dict(found.model)
        self.optimizer.load_state_dict(found.optimizer)
        self.scaler.load_state_dict(found.scaler)
        return found.best


def accuracy(model: nn.Module, x: Tensor, y: Tensor, attacked: Callable[..., Tensor] | None = None,
             batch: int = 512) -> float:
    """Share of images whose class has the largest logit, in evaluation mode; `attacked(model, x, y)` moves them first.
    """
    device = next((p.device for p in model.parameters()), x.device)
    hits = 0
    for part_x, part_y in zip(x.split(batch), y.split(batch), strict=True):
        part_x, part_y = part_x.to(device), part_y.to(device)
        part_x = part_x if attacked is None else attacked(model, part_x, part_y)
        with evaluating(model), torch.no_grad():
            hits += int((model(part_x).argmax(1) == part_y).sum())
    return hits / len(x)


def _optimizer(model: nn.Module, settings: Settings, groups: list[dict[str, Any]] | None) -> torch.optim.Optimizer:
    groups = groups or [{"params": [p for p in model.parameters() if p.requires_grad]}]
    if not any(len(list(group["params"])) for group in groups):
        raise InvalidInput("the network has no parameters that could be trained")
    common = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=settings.momentum, **common)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return kinds[settings.optimizer](groups, fused=True, **common)  # one pass over the weights instead of ten


def _scales(model: nn.Module) -> Tensor:
    found = [m.weight.abs().sum() for m in model.modules() if isinstance(m, NORMALISATIONS) and m.weight is not None]
    if not found:
        raise InvalidInput("the network has no batch normalisation with scales: l1_scales must be 0")
    return torch.stack(found).sum()


def _bfloat16() -> bool:
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported()


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    """torch's generators, seeded for one epoch; restored afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed((seed * 1_000_003 + epoch) % (1 << 63))
        yield
