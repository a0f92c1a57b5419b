"""From scores to a selection: how many neurons, of which sites, in how many rounds.

`ratio` in [0, 1) counts all ReLU neurons of the network (layer-wise: of every site), stable ones and those that are
lines already included; the quota is rounded down, so 0 selects nothing and no ratio selects everything. Neurons that
are lines stay so and count first. Stable neurons may be selected, but scores made of bounds put them last (they score
0). Equal scores are ordered at random, from the seed, so that no site is preferred for its place in the network.

In several rounds the quota grows in equal steps; each round computes its scores, bounds included, on the network
grafted so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from grafting.graft import Selection, already, graft
from grafting.scores import SCORES, Context, Ranking
from verify.errors import InvalidInput


@dataclass(frozen=True)
class Round:
    """What one round did: the number of neurons that are lines after it, per site."""

    number: int
    lines: dict[str, int]


def check_ratio(ratio: float) -> None:
    if not 0 <= ratio < 1:
        raise InvalidInput(f"the ratio of grafted neurons must be at least 0 and below 1, got {ratio}")


def quota(ratio: float, neurons: int) -> int:
    """How many of `neurons` are lines at this ratio: rounded down (0.3 of 10 is 3, whatever its last bit says)."""
    check_ratio(ratio)
    return min(math.floor(ratio * neurons + 1e-9), neurons - 1) if neurons else 0


def select(context: Context, score: str, ratio: float) -> Selection:
    """The neurons to graft, those included that are lines already. Raises `InvalidInput`."""
    check_ratio(ratio)
    taken = {name: already(context.model, site) for name, site in context.sites.items()}
    if score not in SCORES:
        raise InvalidInput(f"unknown score {score!r}; known are {', '.join(SCORES)}")
    groups = [[name] for name in taken] if context.layerwise else [list(taken)]
    if not any(_missing(taken, names, ratio) for names in groups):
        return taken
    rankings = SCORES[score](context)
    generator = torch.Generator().manual_seed(context.seed)
    for names in groups:
        _fill(taken, names, rankings, _missing(taken, names, ratio), generator)
    return taken


def _missing(taken: Selection, names: Sequence[str], ratio: float) -> int:
    """How many neurons of these sites still have to be chosen."""
    neurons, lines = (sum(int(count(taken[name])) for name in names) for count in (torch.numel, torch.count_nonzero))
    return max(0, quota(ratio, neurons) - lines)


def _fill(taken: dict[str, Tensor], names: Sequence[str], rankings: Sequence[Ranking], count: int,
          generator: torch.Generator) -> None:
    """Takes `count` neurons of these sites in equal portions, the best of one ranking after the other, in place."""
    sizes = [taken[name].numel() for name in names]
    flat = torch.cat([taken[name].flatten() for name in names])
    for k, ranking in enumerate(rankings):
        portion = count * (k + 1) // len(rankings) - count * k // len(rankings)
        values = torch.cat([ranking[name].flatten().double() for name in names])
        if not bool(torch.isfinite(values).all()):
            raise InvalidInput("a score is not finite; the network's weights may be too large")
        order = torch.randperm(len(flat), generator=generator)
        order = order[torch.argsort(values[order], descending=True, stable=True)]
        flat[order[~flat[order]][:portion]] = True
    for name, part in zip(names, flat.split(sizes), strict=True):
        taken[name] = part.reshape(taken[name].shape)


def graft_in_rounds(context: Context, score: str, ratio: float, rounds: int = 1, init: str = "least-squares",
                    on_round: Callable[[Round], None] = lambda done: None) -> tuple[nn.Module, list[Round]]:
    """`context.model` grafted in `rounds` steps to the ratio, and what each did; the model itself is left as it is.

    The calibration images of the context also fit the lines."""
    if rounds < 1:
        raise InvalidInput(f"grafting takes at least one round, got {rounds}")
    check_ratio(ratio)
    model, done = context.model, []
    for number in range(1, rounds + 1):
        now = replace(context, model=model, seed=context.seed + number - 1)
        selection = select(now, score, ratio * number / rounds)
        model = graft(model, context.input_shape, selection, init, context.x)
        done.append(Round(number, {name: int(mask.sum()) for name, mask in selection.items()}))
        on_round(done[-1])
    return model, done
