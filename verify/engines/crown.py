"""Engine `crown`: one backward pass with CROWN's lines (Zhang et al. 2018). Sound, incomplete."""

from __future__ import annotations

from verify.budget import Budget
from verify.engines.base import Settings, closed_disjuncts, from_margins
from verify.engines.graph_root import crown_rows
from verify.options import SEMANTICS
from verify.query import Query
from verify.result import Reason, Result


class CrownVerifier:
    """CROWN bounds of the property's rows on the whole box, CROWN bounds for the intermediate layers."""

    name, sound, complete_for, semantics = "crown", True, "nothing", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        try:
            found = crown_rows(query, budget)
        except TimeoutError:
            return Result.unknown(Reason.TIMEOUT)
        margins = closed_disjuncts(found.lower, query.members)
        self.settings.root_trace.bounded(margins)
        return from_margins(margins, self.name, budget)
