import math
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
import torch

from bab.domains import SubproblemBatch
from bab.search import Bounded, Search, SearchOptions, race
from verify.budget import Budget
from verify.result import Reason, Witness


@dataclass
class Fake:
    """Cuts [0, 1] in halves; a domain is proved at depth `closes`, stuck at depth `stuck`. Subclasses misbehave."""

    closes: int = 4
    stuck: float = math.inf
    bounded: int = 0
    asked: list = field(default_factory=list)

    def root(self):
        return SubproblemBatch(torch.tensor([-math.inf]), torch.zeros(1, dtype=torch.int64),
                               {"low": torch.zeros(1), "high": torch.ones(1)})

    def margin(self, batch):
        return torch.where(batch.depth >= self.closes, 0.5 + batch.low, -1.0)

    def points(self, batch):
        return None

    def bound(self, batch, budget):
        self.bounded += len(batch)
        margin = self.margin(batch)
        return Bounded(batch.with_data(lower=margin.to(batch.lower.dtype)), margin, batch.depth >= self.stuck,
                       self.points(batch))

    def split(self, batch):
        middle = (batch.low + batch.high) / 2
        return batch.split({"high": middle}, {"low": middle})

    def decide_stuck(self, batch, budget):
        self.asked.append(len(batch))
        return Bounded(batch, torch.full((len(batch),), -math.inf), torch.ones(len(batch), dtype=torch.bool))


def run(bounder, replay=lambda x: None, budget=None, **options):
    return Search(bounder, replay, SearchOptions(**options)).run(budget or Budget())


@pytest.mark.parametrize("first_batch", [1, 3, 64])
@pytest.mark.parametrize("depth", [0, 1, 5])
def test_a_known_tree(depth, first_batch):
    bounder = Fake(depth)
    outcome = run(bounder, first_batch=first_batch)
    assert outcome.closed and outcome.reason is None and outcome.open_domains == 0
    assert outcome.leaves == 2**depth
    assert outcome.domains == bounder.bounded == 2 ** (depth + 1) - 1
    assert outcome.smallest_margin == 0.5


class NotANumber(Fake):
    def margin(self, batch):
        return torch.full_like(batch.lower, math.nan)


class Infinite(Fake):
    def margin(self, batch):
        return torch.full_like(batch.lower, math.inf)


class Border(Fake):
    def margin(self, batch):
        return torch.zeros_like(batch.lower)


class HalfBroken(Fake):
    """Only the domain that starts at 0 misbehaves, everything else closes."""

    def margin(self, batch):
        return torch.where(batch.low == 0, math.nan, 1.0)


@pytest.mark.parametrize("kind", [NotANumber, Infinite, Border, HalfBroken])
def test_a_broken_margin_closes_nothing(kind):
    outcome = run(kind(stuck=5), replay=lambda x: None)
    assert not outcome.closed and outcome.witness is None
    assert outcome.reason is not None and outcome.open_domains >= 1


class Counting(Fake):
    """Never proves anything and lets the clock run out after some rounds."""

    def __init__(self, budget):
        super().__init__(closes=10**6)
        self.budget = budget

    def bound(self, batch, budget):
        if self.bounded > 200:
            object.__setattr__(self.budget, "deadline", -1.0)
        return super().bound(batch, budget)


def test_a_spent_budget_ends_as_timeout_with_open_domains():
    budget = Budget()
    outcome = run(Counting(budget), budget=budget)
    assert not outcome.closed and outcome.reason is Reason.TIMEOUT and outcome.open_domains > 0
    assert not run(Fake(0), budget=Budget(deadline=-1.0)).closed


def test_a_full_memory_ends_as_memory():
    outcome = run(Fake(10**6), budget=Budget(memory_bytes=2000))
    assert not outcome.closed and outcome.reason is Reason.MEMORY and outcome.open_domains > 0


def test_stuck_domains_get_a_last_word_and_stay_open_without_one():
    bounder = Fake(closes=10**6, stuck=3)
    outcome = run(bounder)
    assert sum(bounder.asked) == 8
    assert not outcome.closed and outcome.reason is Reason.NUMERICS


class Settled(Fake):
    def decide_stuck(self, batch, budget):
        super().decide_stuck(batch, budget)
        return Bounded(batch, torch.full((len(batch),), 0.25), torch.ones(len(batch), dtype=torch.bool))


def test_settled_leaves_close_the_tree():
    outcome = run(Settled(closes=10**6, stuck=3))
    assert outcome.closed and outcome.leaves == 8 and outcome.smallest_margin == 0.25


def test_one_unsettled_leaf_keeps_the_tree_open():
    class Partly(Settled):
        def decide_stuck(self, batch, budget):
            last = super().decide_stuck(batch, budget)
            return Bounded(batch, torch.where(batch.low == 0.5, math.nan, last.margin), last.stuck)

    outcome = run(Partly(closes=10**6, stuck=3))
    assert not outcome.closed and outcome.leaves == 7 and outcome.open_domains == 1


class Pointing(Fake):
    def points(self, batch):
        return (batch.low + batch.high).reshape(-1, 1) / 2


def test_only_a_replayed_point_is_a_witness():
    seen = []

    def replay(x):
        seen.append(float(x))
        return "witness" if abs(float(x) - 0.375) < 1e-6 else None

    outcome = run(Pointing(closes=6), replay)
    assert outcome.witness == "witness" and not outcome.closed
    assert 0.5 in seen
    assert run(Pointing(closes=3), lambda x: None).closed


def test_an_interrupted_run_goes_on_where_it_stopped():
    search = Search(Fake(6), lambda x: None, SearchOptions(first_batch=2, max_batch=2))
    stopped = search.run(Budget(deadline=-1.0))
    assert stopped.reason is Reason.TIMEOUT and stopped.open_domains == 1
    assert search.run(Budget()).closed
    assert search.leaves == 64


def test_domains_of_a_round_that_failed_stay_open():
    class Failing(Fake):
        def bound(self, batch, budget):
            if self.bounded > 4:
                self.bounded = -(10**6)
                raise MemoryError
            return super().bound(batch, budget)

    search = Search(Failing(4), lambda x: None, SearchOptions(first_batch=1, max_batch=1))
    with pytest.raises(MemoryError):
        search.run(Budget())
    assert not search.run(Budget()).closed


def test_the_trace_sees_a_whole_tree():
    class Recorder:
        def __init__(self):
            self.splits, self.leaves, self.open, self.ids = 0, [], set(), []

        def roots(self, domains):
            self.open |= set(domains.id.tolist())
            self.ids += domains.id.tolist()

        def split(self, parents, children):
            assert len(children) == 2 * len(parents)
            self.splits += len(parents)
            assert set(parents.id.tolist()) <= self.open
            self.open = self.open - set(parents.id.tolist()) | set(children.id.tolist())
            self.ids += children.id.tolist()
            middle = (parents.low + parents.high) / 2
            assert torch.equal(children.low, torch.cat([parents.low, middle]))

        def closed(self, domains, margins):
            assert bool((margins > 0).all()) and set(domains.id.tolist()) <= self.open
            self.open -= set(domains.id.tolist())
            self.leaves += list(zip(domains.low.tolist(), domains.high.tolist(), strict=True))

    trace = Recorder()
    Search(Fake(4), lambda x: None, trace=trace).run(Budget())
    assert trace.splits == 15 and not trace.open
    assert len(set(trace.ids)) == len(trace.ids) == 31
    ends = sorted(trace.leaves)
    assert ends[0][0] == 0 and ends[-1][1] == 1
    assert all(a[1] == b[0] for a, b in pairwise(ends))


class Late(Fake):
    """Needs a second turn for its stuck domains: the first one ends in the middle of the last word on them."""

    def __init__(self, budget):
        super().__init__(closes=10**6, stuck=2)
        self.budget = budget

    def decide_stuck(self, batch, budget):
        if budget is self.budget:
            object.__setattr__(self.budget, "deadline", -1.0)
            return super().decide_stuck(batch, budget)
        self.asked.append(len(batch))
        return Bounded(batch, torch.ones(len(batch)), torch.ones(len(batch), dtype=torch.bool))


def test_stuck_domains_that_ran_out_of_time_get_another_turn():
    """They were given up for good, with `timeout` as the reason: without a time limit the race went on for ever."""
    turn = Budget()
    search = Search(Late(turn), lambda x: None)
    first = search.run(turn)
    assert not first.closed and first.reason is Reason.TIMEOUT and first.open_domains == 4
    second = search.run(Budget())
    assert second.closed and second.leaves == 4 and second.reason is None
    assert race([Search(Late(turn), lambda x: None)], Budget()).closed


def test_a_probe_ends_a_race_with_its_witness():
    found = Witness(np.zeros(1), np.zeros(1), 0.0)
    outcome = race([Search(Fake(10**6), lambda x: None)], Budget(), 0.02, probe=lambda budget: found)
    assert outcome.witness is found and outcome.reason is None and not outcome.closed


def test_a_search_that_closes_nothing_does_not_stop_the_others():
    slow, quick = Search(Fake(10**6), lambda x: None), Search(Fake(6), lambda x: None)
    outcome = race([slow, quick], Budget(), 0.02)
    assert outcome.closed and outcome.leaves == 2**6
