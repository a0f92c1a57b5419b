"""Branch and bound: the loop. It sees domains, a bounder and a budget, and knows no mathematics.

Sound by construction: a domain leaves the books only when the bounder returns a rigorous bound that is finite and
positive for it. Everything else (a NaN, a failed leaf, a domain that cannot be split, lack of time or memory) leaves it
open, and with an open domain the search cannot end as closed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from bab.domains import SubproblemBatch
from bab.queue import Queue
from bab.trace import NullTrace, Trace
from verify.budget import Budget
from verify.progress import Observer, Progress
from verify.result import Reason, Witness

TINY_SHARE = 1e-12
MOST_ROUNDS = 4
"""A round of mostly fixed costs is not made larger beyond this many times its intended length."""


@dataclass(frozen=True, eq=False)
class Bounded:
    """`batch` with new bounds; `margin` (n,) rigorous bounds, a domain with a positive one is proved; `stuck` (n,)
    bool: cannot be split any further; `points` (k, *input shape): candidates for counterexamples, may be None."""

    batch: SubproblemBatch
    margin: Tensor
    stuck: Tensor
    points: Tensor | None = None


class Bounder(Protocol):
    """One way of bounding and splitting. `root()` gives the first domains, not yet bounded."""

    def root(self) -> SubproblemBatch: ...

    def bound(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        """Rigorous bounds of every domain; weaker ones when the budget ends meanwhile."""
        ...

    def split(self, batch: SubproblemBatch) -> SubproblemBatch: ...

    def decide_stuck(self, batch: SubproblemBatch, budget: Budget) -> Bounded:
        """Last word on domains that cannot be split."""
        ...


@dataclass(frozen=True)
class SearchOptions:
    """`first_batch` domains in the first round; later rounds grow up to `max_batch` while a round takes less than
    `round_seconds` (a round is what the time limit and the progress line have to wait for)."""

    first_batch: int = 8
    max_batch: int = 4096
    round_seconds: float = 0.8


@dataclass(frozen=True)
class Outcome:
    """How the search ended. `closed`: no open domain is left; otherwise `reason` (None with a witness)."""

    closed: bool
    witness: Witness | None
    reason: Reason | None
    leaves: int
    domains: int
    smallest_margin: float
    best_bound: float
    open_domains: int


def _silent(progress: Progress) -> None:
    pass


def race(searches: list[Search], budget: Budget, first_seconds: float = 1.0,
         probe: Callable[[Budget], Witness | None] | None = None) -> Outcome:
    """Runs several searches for the same question in turns until one of them ends.

    Turns double; the search whose open share of the tree shrinks fastest gets a full one, the others an eighth (in the
    first round all get a full one). The shares themselves do not compare: a tree per disjunct is half closed when the
    easy disjuncts are. Every round ends with an eighth of a turn for `probe`, which looks for a counterexample
    elsewhere.
    """
    seconds, rates = first_seconds, [math.inf] * len(searches)
    while True:
        best = max(rates)
        for k, search in enumerate(searches):
            share = 1.0 if rates[k] == best else 0.125
            alone = len(searches) == 1 and probe is None
            before, started = search.progress, time.monotonic()
            outcome = search.run(budget if alone else budget.slice(share * seconds))
            if outcome.reason is not Reason.TIMEOUT or budget.expired:
                return outcome
            rates[k] = _shrinking(before, search.progress, time.monotonic() - started)
        witness = probe(budget.slice(seconds / 8)) if probe is not None else None
        if witness is not None:
            return replace(outcome, witness=witness, reason=None)
        seconds *= 2


def _shrinking(before: float, after: float, seconds: float) -> float:
    """How fast the open share of a tree shrinks, in e-folds per second, from its closed shares."""
    return math.log(max(1 - before, TINY_SHARE) / max(1 - after, TINY_SHARE)) / max(seconds, 1e-3)


class Search:
    """One run over one bounder. `replay` turns a candidate point into a witness or None."""

    def __init__(self, bounder: Bounder, replay: Callable[[Tensor], Witness | None],
                 options: SearchOptions | None = None, trace: Trace | None = None, watch: Observer | None = None,
                 phase: str = "bab"):
        self.bounder, self.replay = bounder, replay
        self.options, self.trace = options or SearchOptions(), trace or NullTrace()
        self.watch, self.phase = watch or _silent, phase
        self.named = 0  # domains that have got an id
        roots = self._name(bounder.root())
        self.trace.roots(roots)
        self.queue = Queue()
        self.queue.push(roots)
        self.size = self.options.first_batch
        self.pace = 0.0  # seconds per domain of the last round
        self.marginal = math.inf  # seconds that one more domain costs in a round, as far as two rounds tell
        self.last = (0, 0.0)  # domains and seconds of the last round
        self.rooted = False  # the first batch is bounded as it is
        self.leaves, self.domains = 0, 0
        self.away = 0  # domains taken from the queue and not yet settled: an exception leaves them open
        self.waiting: list[SubproblemBatch] = []  # stuck domains that the end of a turn left undecided
        self.roots = len(self.queue)
        self.closed_mass = 0.0
        self.smallest = float("inf")
        self.failed: Reason | None = None  # latched: a domain that stays open for good
        self.failed_bound = float("inf")

    def run(self, budget: Budget) -> Outcome:
        """Until everything is closed, a witness is found, or the budget is spent; a later call goes on from there."""
        while len(self.queue) or self.waiting:
            if budget.expired:
                return self._outcome(None, Reason.TIMEOUT)
            if self.waiting:
                batch, self.waiting = SubproblemBatch.cat(self.waiting), []
                self.away += len(batch)
                witness = self._settle(batch, budget)
                if witness is not None:
                    return self._outcome(witness, None)
                self.away -= len(batch)
                continue
            if self.queue.bytes > budget.memory_bytes:
                return self._outcome(None, Reason.MEMORY)
            started = time.monotonic()
            batch = self.queue.pop(self._count(budget) if self.rooted else len(self.queue))
            taken = len(batch)
            self.away += taken
            if self.rooted:
                parents, batch = batch, self._name(self.bounder.split(batch))
                self.trace.split(parents, batch)
            self.rooted = True
            witness = self._bound(batch, budget)
            if witness is not None:
                return self._outcome(witness, None)
            self.away -= taken
            self.watch(Progress(self.phase, len(self.queue), self.leaves, self.queue.least))
            self.pace = (time.monotonic() - started) / taken
            self._adapt(time.monotonic() - started, len(batch))
        return self._outcome(None, self.failed)

    def _name(self, batch: SubproblemBatch) -> SubproblemBatch:
        """The domains with ids that nobody in this search has."""
        first, self.named = self.named, self.named + len(batch)
        return batch.with_data(id=torch.arange(first, self.named, device=batch.lower.device))

    @property
    def progress(self) -> float:
        """Share of the tree that is closed, a leaf at depth d counting 2^-d (Knuth's estimate): 1 when done."""
        return self.closed_mass / max(self.roots, 1)

    def _count(self, budget: Budget) -> int:
        """Domains of the next round: fewer at the end of the budget, so that the round ends with it."""
        fitting = budget.remaining / self.pace if self.pace > 0 else math.inf
        return max(1, int(min(self.size, fitting)))

    def _adapt(self, seconds: float, domains: int) -> None:
        """Twice as many domains while a round of them takes less than half its time, half as many after a long one.

        A round has fixed costs (matrices are read, thousands of small operations started), whatever the number of its
        domains: while these are most of it, fewer domains would not make it shorter, and more are nearly free."""
        before, time_before = self.last
        self.last = (domains, seconds)
        if domains != before and before:
            self.marginal = max(0.0, (seconds - time_before) / (domains - before))
        fixed = self.marginal * domains < seconds / 2
        if domains >= self.size and (seconds < self.options.round_seconds / 2
                                     or (fixed and seconds < MOST_ROUNDS * self.options.round_seconds)):
            self.size = min(self.options.max_batch, 2 * self.size)
        elif seconds > 1.5 * self.options.round_seconds and not fixed:
            self.size = max(1, self.size // 2)

    def _bound(self, batch: SubproblemBatch, budget: Budget) -> Witness | None:
        """Bounds a batch, closes what is proved, tests candidates, settles stuck domains, queues the rest."""
        bounded = self.bounder.bound(batch, budget)
        self.domains += len(batch)
        witness = self._replay(bounded.points)
        if witness is not None:
            return witness
        open_ = ~self._close(bounded)
        stuck = bounded.stuck & open_
        self.queue.push(bounded.batch[open_ & ~stuck])
        return self._settle(bounded.batch[stuck], budget) if bool(stuck.any()) else None

    def _settle(self, stuck: SubproblemBatch, budget: Budget) -> Witness | None:
        """The last word on domains that cannot be split: closed, refuted, or open for good, unless time ran out."""
        last = self.bounder.decide_stuck(stuck, budget)
        witness = self._replay(last.points)
        if witness is not None:
            return witness
        undecided = ~self._close(last)
        if not bool(undecided.any()):
            return None
        if budget.expired:
            self.waiting.append(stuck[undecided])
        else:
            self.failed = Reason.NUMERICS
            self.failed_bound = min(self.failed_bound, float(last.margin[undecided].nan_to_num(-torch.inf).min()))
        return None

    def _close(self, bounded: Bounded) -> Tensor:
        """Mask of the proved domains: finite and positive, NaN is neither."""
        proved = torch.isfinite(bounded.margin) & (bounded.margin > 0)
        count = int(proved.sum())
        if count:
            self.leaves += count
            self.closed_mass += float(torch.exp2(-bounded.batch.depth[proved].double()).sum())
            self.smallest = min(self.smallest, float(bounded.margin[proved].min()))
            self.trace.closed(bounded.batch[proved], bounded.margin[proved])
        return proved

    def _replay(self, points: Tensor | None) -> Witness | None:
        if points is None:
            return None
        for point in points:
            witness = self.replay(point)
            if witness is not None:
                return witness
        return None

    def _outcome(self, witness: Witness | None, reason: Reason | None) -> Outcome:
        open_ = len(self.queue) + self.away + sum(map(len, self.waiting)) + (self.failed is not None)
        closed = witness is None and not open_
        if closed:
            reason = None
        elif witness is None and reason is None:
            reason = self.failed
        return Outcome(closed, witness, reason, self.leaves, self.domains, self.smallest,
                       min(self.queue.least, self.failed_bound), open_)
