"""Certified lottery tickets (Li et al. 2022): a subnetwork that, pruned, rewound and trained again, is at least as good
as the dense network both in standard and in verified accuracy.

The protocol, over several seeds that share schedule and data:

1. candidate  the round whose mean validation accuracies, clean and verified, are both no lower than the dense
              network's; of several the one with the best verified accuracy (`candidate`). None: there is no ticket.
2. judgement  the candidate's exported networks against the dense ones on images that no decision has seen (`judge`):
              a ticket if the mean over seeds is no lower, for both quantities.

The published claim took the best of many rounds on the test images themselves, which favours tickets: with 200 images,
a 95 % interval is 14 points wide. So a judgement also says what chance could have done: per seed McNemar's exact test;
over images, with the seeds averaged, a test that flips signs (are these networks better on other images?); over seeds,
the interval of the mean gain (is the method better with other seeds?).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pruning.rounds import Round
from training.evaluation import Evaluation
from training.statistics import mcnemar, mean_interval
from verify.errors import InvalidInput

FLIPS, LEVEL = 20_000, 0.05
QUANTITIES = ("clean", "verified")


@dataclass(frozen=True)
class Gain:
    """One quantity. `dense`, `pruned`: mean shares over seeds; `low`, `high`: 95 % interval of the mean gain over seeds
    (the whole line for one seed); `seeds`: p of McNemar's test for each; `p`: of the signs over images."""

    name: str
    dense: float
    pruned: float
    low: float
    high: float
    seeds: tuple[float, ...]
    p: float

    @property
    def gain(self) -> float:
        return self.pruned - self.dense

    @property
    def beyond_chance(self) -> bool:
        """Whether the images tell the two apart."""
        return self.p < LEVEL


@dataclass(frozen=True)
class Judgement:
    """Dense against pruned networks on `images` unseen images, `seeds` of each."""

    images: int
    seeds: int
    clean: Gain
    verified: Gain

    @property
    def ticket(self) -> bool:
        """The criterion: neither mean is lower."""
        return self.clean.gain >= 0 and self.verified.gain >= 0

    @property
    def verdict(self) -> str:
        """The criterion, and whether chance could have decided it."""
        if self.ticket:
            sure = self.verified.beyond_chance
            return "certified lottery ticket" + ("" if sure else ", but its verified gain is within chance")
        losses = [gain for gain in (self.clean, self.verified) if gain.gain < 0]
        sure = any(gain.beyond_chance for gain in losses)
        names = " and ".join(gain.name for gain in losses)
        return f"no ticket: {names} accuracy is lower" + ("" if sure else ", though within chance")

    def lines(self) -> list[str]:
        """For a report, in Markdown."""
        rows = [f"| {gain.name} | {gain.dense:.1%} | {gain.pruned:.1%} | {100 * gain.gain:+.1f} | {_interval(gain)} | "
                f"{', '.join(f'{p:.3g}' for p in gain.seeds)} | {gain.p:.3g} |" for gain in (self.clean, self.verified)]
        seeds = f"{self.seeds} seed{'s' if self.seeds > 1 else ''}"
        return [f"{self.images} unseen images, {seeds}: **{self.verdict}**.", "",
                "| accuracy | dense | pruned | gain (points) | 95 % over seeds | McNemar p per seed | p over images |",
                "| --- | --- | --- | --- | --- | --- | --- |", *rows]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        found = {"images": self.images, "seeds": self.seeds, "ticket": self.ticket, "verdict": self.verdict}
        for gain in (self.clean, self.verified):
            values = asdict(gain) | {"seeds": list(gain.seeds), "gain": gain.gain}
            found[gain.name] = {name: value for name, value in values.items() if not _infinite(value)}
        return found


def candidate(runs: Sequence[Sequence[Round]]) -> int | None:
    """Index of the round to judge, from validation accuracies alone; `runs`: the rounds of one schedule per seed, dense
    first. None when every round is worse than the dense network in one of the two."""
    if not runs or not all(runs):
        raise InvalidInput("a ticket needs the rounds of at least one schedule")
    common = min(len(rounds) for rounds in runs)
    if any(abs(rounds[k].remaining - runs[0][k].remaining) > 1e-9 for rounds in runs for k in range(common)):
        raise InvalidInput("the schedules of a ticket must share their remaining ratios")
    means = [[sum(getattr(rounds[k].check, name) for rounds in runs) / len(runs) for name in QUANTITIES]
             for k in range(common)]
    good = [k for k in range(1, common) if all(new >= old - 1e-9 for new, old in zip(means[k], means[0], strict=True))]
    return max(good, key=lambda k: (means[k][1], k), default=None)


def judge(dense: Sequence[Evaluation], pruned: Sequence[Evaluation]) -> Judgement:
    """Seed by seed the dense and the pruned network's evaluation, all on the same images in the same order."""
    if not dense or len(dense) != len(pruned):
        raise InvalidInput(f"a judgement pairs networks seed by seed: {len(dense)} dense, {len(pruned)} pruned")
    indices = [tuple(image.index for image in evaluation.images) for evaluation in (*dense, *pruned)]
    if len(set(indices)) > 1 or not indices[0]:
        raise InvalidInput("a judgement needs all evaluations on the same images")
    flags = {name: [np.array([evaluation.flags(name) for evaluation in side], dtype=float) for side in (dense, pruned)]
             for name in QUANTITIES}
    return Judgement(len(indices[0]), len(dense), *(_gain(name, *flags[name]) for name in QUANTITIES))


def _gain(name: str, dense: np.ndarray, pruned: np.ndarray) -> Gain:
    """From 0/1 arrays (seeds, images)."""
    change = pruned - dense
    seeds = tuple(mcnemar(int((row > 0).sum()), int((row < 0).sum())) for row in change)
    spread = mean_interval(change.mean(1).tolist())
    return Gain(name, float(dense.mean()), float(pruned.mean()), spread.low, spread.high, seeds,
                sign_flips(change.mean(0)))


def sign_flips(changes: np.ndarray, flips: int = FLIPS) -> float:
    """Two-sided p of the mean of paired differences: if nothing had changed, every difference might as well have had
    the other sign. `flips` random signs from a fixed seed; never below 1 / (flips + 1)."""
    changes = changes[changes != 0]
    if not len(changes):
        return 1.0
    generator, seen, reached = np.random.default_rng(0), abs(changes.sum()) - 1e-9, 0
    for start in range(0, flips, 1000):
        signs = generator.integers(0, 2, (min(1000, flips - start), len(changes))) * 2 - 1
        reached += int((np.abs(signs @ changes) >= seen).sum())
    return (reached + 1) / (flips + 1)


def _interval(gain: Gain) -> str:
    return "one seed" if _infinite(gain.low) else f"{100 * gain.low:+.1f} to {100 * gain.high:+.1f}"


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and not np.isfinite(value)
