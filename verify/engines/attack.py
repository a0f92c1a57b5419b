"""Engine `attack`: PGD in rounds until the budget is spent. Finds counterexamples, proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from verify.attack.pgd import PgdOptions, pgd
from verify.budget import Budget
from verify.engines.base import Settings
from verify.progress import Progress
from verify.query import Query
from verify.result import Reason, Result, Stats, Witness


def search_witness(query: Query, options: PgdOptions, generator: torch.Generator, expired: Callable[[], bool]
                   ) -> Witness | None:
    """One round of PGD; every candidate is replayed. Gradients are computed in float32: precision is the replay's."""
    graph = query.graph.to(dtype=torch.float32)
    box = query.box.interval(graph.input.shape, graph.device, torch.float32)
    for point in pgd(replace(query, graph=graph), box, options, generator, expired)[:8]:
        witness = query.replay(point)
        if witness is not None:
            return witness
    return None


class AttackVerifier:
    """PGD with more restarts and smaller steps in every round."""

    name, sound, complete_for, semantics = "attack", True, "nothing", "real"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        generator = torch.Generator().manual_seed(self.settings.seed)
        options, rounds = PgdOptions(), 0
        while not budget.expired and rounds < 200:
            self.settings.watch(Progress("attack", 1, rounds))
            witness = search_witness(query, options, generator, lambda: budget.expired)
            stats = Stats(seconds=budget.elapsed, domains=0, method=self.name)
            if witness is not None:
                return Result.falsified(witness, stats=stats)
            rounds += 1
            options = replace(options, restarts=min(512, options.restarts * 2), steps=min(400, options.steps * 2),
                              decay=options.decay**0.7)
        reason = Reason.TIMEOUT if budget.expired else Reason.INCOMPLETE
        return Result.unknown(reason, f"{rounds} rounds of PGD found nothing", stats=stats if rounds else Stats())
