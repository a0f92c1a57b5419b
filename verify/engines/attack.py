"""Engine `attack`: PGD in rounds until the budget is spent. Finds counterexamples, proves nothing."""

from __future__ import annotations

from dataclasses import replace

import torch

from verify.attack.pgd import PgdOptions, pgd
from verify.budget import Budget
from verify.engines.base import Settings
from verify.options import SEMANTICS
from verify.progress import Progress
from verify.query import Query
from verify.result import Reason, Result, Stats, Witness


class Attacker:
    """PGD in rounds of growing effort, as long as it is given time; remembers where it was."""

    def __init__(self, query: Query, seed: int):
        self.query, self.generator = query, torch.Generator().manual_seed(seed)
        # Gradients are computed in float32: precision is the replay's business.
        self.graph = query.graph.to(dtype=torch.float32)
        self.box = query.box.interval(self.graph.input.shape, self.graph.device, torch.float32)
        self.options, self.rounds = PgdOptions(restarts=32, steps=20), 0

    def round(self, budget: Budget) -> Witness | None:
        """One round; the next one has more restarts and smaller, longer steps."""
        surrogate = replace(self.query, graph=self.graph)
        points = pgd(surrogate, self.box, self.options, self.generator, lambda: budget.expired)
        self.rounds += 1
        self.options = replace(self.options, restarts=min(512, 2 * self.options.restarts),
                               steps=min(400, int(1.6 * self.options.steps)), decay=self.options.decay**0.7)
        return next((w for w in map(self.query.replay, points[:8]) if w is not None), None)

    def probe(self, budget: Budget) -> Witness | None:
        """Rounds until the budget ends, at least one."""
        while True:
            witness = self.round(budget)
            if witness is not None or budget.expired:
                return witness


class AttackVerifier:
    """PGD with more restarts and smaller steps in every round."""

    name, sound, complete_for, semantics = "attack", True, "nothing", SEMANTICS
    most_rounds = 200

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        attacker = Attacker(query, self.settings.seed)
        while not budget.expired and attacker.rounds < self.most_rounds:
            self.settings.watch(Progress("attack", 1, attacker.rounds))
            witness = attacker.round(budget)
            if witness is not None:
                return Result.falsified(witness, stats=Stats(budget.elapsed, method=self.name))
        reason = Reason.TIMEOUT if budget.expired else Reason.INCOMPLETE
        return Result.unknown(reason, f"{attacker.rounds} rounds of PGD found nothing",
                              stats=Stats(budget.elapsed, method=self.name))
