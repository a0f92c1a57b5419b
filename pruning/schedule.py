"""Schedules of ratios, and what the weights are set back to between their rounds.

Ratios are what remains of the pruned tensors after each round, always of the dense network. In the iterative schedules
of Li et al. 2022 every round removes the same share of what is left: 0.2 of the weights, or 0.11 of the channels, with
the dense network as the first of 16 or 12 rounds.

Rewinding (Frankle and Carbin 2019; Frankle et al. 2020): each round trains again from the initial weights, or from
those of an early epoch of the dense training. Both are kept as copies: a state dict holds references, which the
optimiser goes on changing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import Tensor, nn

from pruning.mask import check_remaining
from verify.errors import InvalidInput

State = Mapping[str, Tensor]


def iterative(rate: float, rounds: int) -> tuple[float, ...]:
    """(1 - rate)^k for k = 1 to rounds - 1: the first of the `rounds` is the dense network's."""
    if not 0 < rate < 1 or rounds < 2:
        raise InvalidInput(f"an iterative schedule needs a rate in (0, 1) and two rounds or more (the first is dense), "
                           f"got {rate} x {rounds}")
    return tuple((1 - rate) ** k for k in range(1, rounds))


PRESETS = MappingProxyType({"paper": iterative(0.2, 16), "paper-structured": iterative(0.11, 12)})


def parse_ratios(text: str) -> tuple[float, ...]:
    """`0.5,0.25` (a list), `0.2x16` (rate times rounds), or the name of a preset."""
    if text in PRESETS:
        return PRESETS[text]
    try:
        if "x" in text:
            rate, rounds = text.split("x")
            return iterative(float(rate), int(rounds))
        return check_ratios(tuple(float(part) for part in text.split(",")))
    except ValueError as error:
        raise InvalidInput(f"cannot read the remaining ratios {text!r}: give a list such as 0.5,0.25, a rate and a "
                           f"number of rounds such as 0.2x16, or one of {', '.join(PRESETS)}") from error


def check_ratios(ratios: tuple[float, ...]) -> tuple[float, ...]:
    """Ratios in (0, 1) that fall from round to round; one alone is one-shot pruning."""
    if not ratios:
        raise InvalidInput("a schedule needs at least one remaining ratio")
    for before, after in zip((1.0, *ratios), ratios, strict=False):
        check_remaining(after)
        if not after < before:
            raise InvalidInput(f"remaining ratios must fall from round to round (the dense network is round 0), but "
                               f"{after:g} follows {before:g}")
    return tuple(ratios)


@dataclass(frozen=True)
class Rewind:
    """To the initial weights (`init`), to those after epoch `epoch` of the dense training (`epoch`), or not at all
    (`none`: fine-tuning)."""

    to: str = "init"
    epoch: int = 0

    def __post_init__(self) -> None:
        if self.to not in ("init", "epoch", "none") or (self.to == "epoch") != (self.epoch > 0):
            raise InvalidInput(f"cannot rewind to {self.to!r}, epoch {self.epoch}: init, none, or epoch:K with K >= 1")

    @staticmethod
    def parse(text: str) -> Rewind:
        """`init`, `none` or `epoch:K`."""
        head, colon, number = text.partition(":")
        if (head == "epoch") != bool(colon) or (colon and not number.isdigit()):
            raise InvalidInput(f"cannot read the rewinding {text!r}: init, none, or epoch:K with K from 1")
        return Rewind(head, int(number) if colon else 0)

    def __str__(self) -> str:
        return f"epoch:{self.epoch}" if self.to == "epoch" else self.to


def saved(model: nn.Module) -> State:
    """A copy of all parameters and buffers that nothing else refers to."""
    return MappingProxyType({name: value.detach().cpu().clone() for name, value in model.state_dict().items()})


def restore(model: nn.Module, state: State) -> None:
    """Sets all parameters and buffers, in place. Raises `InvalidInput` when names or shapes differ."""
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        raise InvalidInput(f"saved weights do not fit the network: {' '.join(str(error).split())}") from error
