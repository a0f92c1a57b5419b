"""The schedule of pruning: train, score, prune, rewind, train again, look, and stop when it costs too much.

    round 0      the dense network: trained from the start given, or taken as it is
    round k      mask k: the units with the highest scores among those of mask k - 1 (`pruning.choose`)
                 weights set back (`Rewind`), masked, trained with the mask held after every step
                 measured on validation images (`pruning.measure`), exported; stored as a whole (`pruning.rounds`)

Which round is the result is decided on validation images: the best verified accuracy among the rounds that lost no more
accuracy than allowed. Test images are not touched here.

Everything random is seeded: equal arguments give equal rounds on a processor, also when the schedule was interrupted,
between rounds or within one.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pruning.choose import check, choose
from pruning.compact import compact, compared
from pruning.criteria import Context
from pruning.mask import Mask
from pruning.measure import checked, pick
from pruning.plan import Plan
from pruning.rounds import Round, Store, digest
from pruning.schedule import Rewind, State, restore, saved
from training import files
from training.checkpoint import PLACES
from training.data import Data
from training.export import export_onnx
from training.loop import Epoch, silent, train
from training.settings import Settings
from verify.errors import InvalidInput, UnsupportedOperator


@dataclass(frozen=True)
class Pruned:
    """A schedule that is over. `stopped`: why before its last ratio, empty otherwise."""

    rounds: tuple[Round, ...]
    selected: int
    stopped: str
    onnx: Path

    @property
    def dense(self) -> Round:
        return self.rounds[0]

    @property
    def best(self) -> Round:
        """The selected round."""
        return self.rounds[self.selected]


def no_round(made: Round) -> None:
    """The observer that does nothing."""


def prune(model: nn.Module, data: Data, settings: Settings, plan: Plan, run: Path, *, dense: State | None = None,
          on_round: Callable[[Round], None] = no_round, on_epoch: Callable[[Epoch], None] = silent) -> Pruned:
    """Runs the schedule `plan` in the folder `run`, or what is missing of it.

    `model` holds the initial weights, to which rounds rewind; at the end it holds those of the selected round. `dense`:
    trained weights for round 0, which is then not trained. `settings`: of every training, with the radius `eps` of all
    measurements. `on_round`: told every finished round, also those of an earlier run.

    Raises `InvalidInput` before anything is written when a part of the plan cannot be carried out, or when `run` holds
    another schedule.
    """
    schedule = _Schedule(model, data, settings, plan, Store(Path(run)), saved(model), dense, on_epoch)
    mask = schedule.check()
    schedule.store.begin(schedule.identity(), schedule.initial, schedule.defaults())
    rounds: list[Round] = []
    for index in range(len(plan.remaining) + 1):
        made = schedule.store.round(index) or schedule.make(index, mask, rounds)
        rounds.append(made)
        mask = made.mask()
        on_round(made)
        if stop_reason(rounds, plan):
            break
    selected = select(rounds, plan)
    restore(model, rounds[selected].state())
    return Pruned(tuple(rounds), selected, stop_reason(rounds, plan), schedule.store.select(rounds[selected]))


def stop_reason(rounds: list[Round], plan: Plan) -> str:
    """Why no further round is worth it; empty when one is."""
    lost = _lost(rounds[0], rounds[-1], plan)
    if lost:
        return lost
    best = max(range(len(rounds)), key=lambda k: (rounds[k].check.verified, -k))
    waited = len(rounds) - 1 - best
    if plan.patience and waited >= plan.patience:
        return f"verified validation accuracy has not risen for {waited} rounds"
    return ""


def _lost(dense: Round, other: Round, plan: Plan) -> str:
    for name, limit in (("clean", plan.max_drop_clean), ("pgd", plan.max_drop_pgd)):
        before, after = getattr(dense.check, name), getattr(other.check, name)
        if before - after > limit + 1e-12:
            return (f"{name} validation accuracy fell from {before:.1%} to {after:.1%} at {other.remaining:.3g} "
                    f"remaining, by more than the {limit:.1%} allowed")
    return ""


def select(rounds: list[Round], plan: Plan) -> int:
    """The round with the best verified validation accuracy among those that lost no more than allowed; of equals the
    one with the least remaining."""
    allowed = [k for k, made in enumerate(rounds) if not _lost(rounds[0], made, plan)]
    return max(allowed, key=lambda k: (rounds[k].check.verified, k))


@dataclass(frozen=True, eq=False)
class _Schedule:
    """Everything that the rounds share."""

    model: nn.Module
    data: Data
    settings: Settings
    plan: Plan
    store: Store
    initial: State
    dense: State | None
    on_epoch: Callable[[Epoch], None]

    @property
    def rewind(self) -> Rewind:
        return Rewind.parse(self.plan.rewind)

    def check(self) -> Mask:
        """The dense mask. Refuses what could not be carried out later."""
        mask, rewind = check(self.model, self.plan), self.rewind
        if rewind.to == "epoch" and self.dense is not None:
            raise InvalidInput(f"cannot rewind to {self.plan.rewind}: the dense network is given, its training was not "
                               "seen; use init or none")
        if rewind.to == "epoch" and rewind.epoch > self.settings.epochs:
            raise InvalidInput(f"cannot rewind to {self.plan.rewind}: trainings have {self.settings.epochs} epochs")
        if self.plan.structured:
            compact(self.model, self.data.input_shape)
        if not len(self.data.x_val):
            raise InvalidInput("rounds are compared on validation images; the data has none")
        if self.dense is not None:
            restore(copy.deepcopy(self.model), self.dense)
        self._check_criterion(mask)
        return mask

    def _check_criterion(self, mask: Mask) -> None:
        """Scores of two images: what the criterion needs of the network is found missing now, not after hours."""
        full = self.context(mask, self.plan.remaining[0])
        few = {name: getattr(full, name)[:2] for name in ("x", "y", "x_held", "y_held")}
        choose(self.model, dataclasses.replace(full, learn=_nothing, batch_statistics=False, **few), self.plan)

    def identity(self) -> dict:
        """What makes a schedule the same."""
        return {"plan": self.plan.as_dict(), "settings": without_place(self.settings), "data": self.data.digest,
                "initial": digest(self.initial), "dense": None if self.dense is None else digest(self.dense)}

    def defaults(self) -> dict:
        """What an option was that a folder's record does not know yet."""
        return {"plan": Plan().as_dict(), "settings": without_place(Settings())}

    def make(self, index: int, mask: Mask, before: list[Round]) -> Round:
        """Carries out one round and stores it."""
        work = self.store.work(index)
        work.mkdir(parents=True, exist_ok=True)
        if index:
            mask = self._mask(index, mask, before[-1])
        self._train(index, mask, before, work)
        mask.apply(self.model)
        return self.store.finish(self._measured(index, mask, work), mask, saved(self.model))

    def _mask(self, index: int, mask: Mask, last: Round) -> Mask:
        """Mask of round `index`, kept in its folder: an interrupted training must go on with the same one."""
        path = self.store.work(index) / "mask.pt"
        if path.exists():
            found = Mask.of_state(torch.load(path, weights_only=True))
            found.check(self.model)
            return mask.narrowed(found.units())
        restore(self.model, last.state() if self.plan.when == "trained" else self.initial)
        self.model.eval()
        found = choose(self.model, self.context(mask, self.plan.remaining[index - 1]), self.plan)
        files.write(path, lambda temporary: torch.save(found.state(), temporary))
        return found

    def context(self, mask: Mask, remaining: float) -> Context:
        """What scores are computed from."""
        plan, data = self.plan, self.data
        device = next(self.model.parameters()).device
        score = pick(len(data.x_train), plan.score_images, plan.seed)
        held = pick(len(data.x_val), plan.check_images, plan.seed)
        return Context(mask, data.x_train[score].to(device), data.y_train[score].to(device),
                       data.x_val[held].to(device), data.y_val[held].to(device), self.settings.eps, remaining,
                       self.settings.batch, plan.seed, batch_statistics=plan.when == "init", learn=self._learn,
                       bounds=plan.bounds)

    def _learn(self, copied: nn.Module, context: Context) -> None:
        """Trains learned scores on the recipe's own objective at the full radius, with the published optimizer (Adam,
        0.01; 0.001 for certified training)."""
        rate = 1e-3 if self.settings.recipe in ("ibp", "crown-ibp") else 1e-2
        train(copied, self.data, dataclasses.replace(
            self.settings, epochs=self.plan.score_epochs, optimizer="adam", lr=rate, weight_decay=0.0, keep="last",
            lr_schedule="drops", lr_drops=(0.5, 0.75), ramp=(0.0, 0.0), l1_scales=0.0))

    def _train(self, index: int, mask: Mask, before: list[Round], work: Path) -> None:
        """Leaves the trained weights of the round in the model."""
        if index == 0 and self.dense is not None:
            restore(self.model, self.dense)
            self.model.eval()
            return
        late = index == 0 and self.rewind.to == "epoch"
        if late and not self._early.exists():
            # A checkpoint from after that epoch does not hold its weights: once more from the start.
            (work / "checkpoint.pt").unlink(missing_ok=True)
        restore(self.model, self._start(before))
        mask.apply(self.model)
        train(self.model, self.data, self.settings, run=work, after_step=keeper(mask),
              on_epoch=self._watch if late else self.on_epoch)

    @property
    def _early(self) -> Path:
        """The weights of the epoch to rewind to."""
        return self.store.run / "rewind.pt"

    def _watch(self, epoch: Epoch) -> None:
        # Epochs that a checkpoint remembers are reported, too, with later weights in the model.
        if epoch.number == self.rewind.epoch and not self._early.exists():
            state = dict(saved(self.model))
            files.write(self._early, lambda temporary: torch.save(state, temporary))
        self.on_epoch(epoch)

    def _start(self, before: list[Round]) -> State:
        if not before or self.rewind.to == "init":
            return self.initial
        if self.rewind.to == "none":
            return before[-1].state()
        return torch.load(self._early, weights_only=True)

    def _measured(self, index: int, mask: Mask, work: Path) -> Round:
        """Looks at the trained network and exports it."""
        data, model = self.data, copy.deepcopy(self.model).cpu().eval()
        look = checked(self.model, data.x_val, data.y_val, self.settings.eps, self.plan.check_images, self.plan.seed,
                       self.plan.bounds)
        points = data.x_val[pick(len(data.x_val), 16, self.plan.seed)]
        small = smaller(model, data.input_shape, self.plan.structured) if index else None
        names = ["model.onnx"] if small is None else ["masked.onnx", "model.onnx"]
        made = [export_onnx(network, data.input_shape, work / name, points) for name, network in
                zip(names, (model, small), strict=False)]
        parameters = sum(value.numel() for value in (model if small is None else small).parameters())
        differences = [one.max_difference for one in made]
        if small is not None:
            differences.append(compared(model, small, data.input_shape).own_difference)
        return Round(index, mask.remaining, mask.remaining_of(model), parameters, look, max(differences),
                     {one.path.name: one.sha256 for one in made}, work)


def without_place(settings: Settings) -> dict:
    """The settings that decide about results."""
    return {name: value for name, value in settings.as_dict().items() if name not in PLACES}


def keeper(mask: Mask) -> Callable[[nn.Module], None]:
    """`mask.apply` for the end of every step, with the mask moved to the model's device once."""
    moved: dict[torch.device, Mask] = {}

    def keep(model: nn.Module) -> None:
        device = next(model.parameters()).device
        if device not in moved:
            moved[device] = mask.to(device)
        moved[device].apply(model)

    return keep


def smaller(model: nn.Module, input_shape: tuple[int, ...], structured: bool) -> nn.Module | None:
    """The network without its dead channels, or None when there are none. Raises `UnsupportedOperator` when channels
    were pruned that cannot be cut out; dead channels that single weights left behind are no one's promise."""
    try:
        small = compact(model, input_shape)
    except UnsupportedOperator:
        if structured:
            raise
        return None
    fewer = sum(value.numel() for value in small.parameters()) < sum(value.numel() for value in model.parameters())
    return small if fewer else None


def _nothing(copied: nn.Module, context: Context) -> None:
    """In place of learning, for a first look at scores."""

