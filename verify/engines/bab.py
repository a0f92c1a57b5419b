"""Engine `bab`: root bounds, then branch and bound on inputs or neurons. No attack: candidates come from the bounds.

Sound; complete for ReLU networks (ReLU splits end in LPs) up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bab.input_split import InputSplitBounder
from bab.relu_split import ReluSplitBounder, ReluSplitOptions
from bab.search import Outcome, Search, race
from bab.value_split import ValueSplitBounder
from verify.bounds.ascent import AscentOptions
from verify.bounds.compact import CompactNetwork
from verify.bounds.ibp import ibp
from verify.bounds.root import UNWATCHED, Root, RootTrace, compact_root, drop_stable, refine
from verify.budget import Budget
from verify.engines.alpha_crown import raise_margins
from verify.engines.attack import Attacker
from verify.engines.base import Settings, closed_disjuncts
from verify.engines.graph_root import graph_root
from verify.engines.milp import Rival
from verify.errors import OutOfResources, Unbounded
from verify.ops import Relu, SShaped
from verify.ops.difference import Difference
from verify.options import SEMANTICS
from verify.query import Query
from verify.result import ClosedTree, Reason, Result, Stats, Witness

FEW_INPUTS = 20
"""At most this many varying inputs are cut; more inputs mean ReLU splits."""

FEW_NEURONS = 40
"""At most this many unstable ReLUs are split whatever the inputs."""

FIRST_TURN = 1.0
"""Seconds of the first turn of each kind of split."""

ATTACK_SECONDS = 30.0

MILP_NEURONS = 200
"""Up to this many unstable ReLUs a mixed-integer program is solved in a thread beside the search."""

ROOT_SECONDS = 8.0
ROOT_SHARE = 0.15
"""Refining the intermediate bounds at the root may take this many seconds, or this share of what is left if less; its
cost is predicted at `ROOT_RATE` operations per second."""
ROOT_RATE = 5e10
ROOT_GAIN = 0.05
ROOT_ROUNDS = 4
"""Every bound depends on all bounds below it, so refining again still gains: at most this often, while an
open row still rises by `ROOT_GAIN` of its size."""


@dataclass(frozen=True)
class Plan:
    """How a query will be searched (`input`, `relu`, `value`, in the order of their turns), and why (one line)."""

    modes: tuple[str, ...]
    why: str


def choose_plan(query: Query, root: Root) -> Plan:
    """Which splits fit the query: inputs when few vary, ReLUs when they are few or the inputs many."""
    varying, network = len(query.varying), root.network
    if network is None and varying <= FEW_INPUTS:
        return Plan(("input",), f"some values have no bounds on the whole box, or the network is too large to be "
                                f"collapsed: the box is cut ({varying} inputs vary)")
    if network is None:
        return Plan((), f"the network is too large to be collapsed and {varying} inputs vary: only attacks are left")
    unstable = network.unstable
    if not network.relu_only:
        if varying > FEW_INPUTS:
            return Plan(("value",), f"{varying} inputs vary and {unstable} neurons are unstable: their ranges are cut")
        if any(isinstance(layer.op, Difference) for layer in network.layers):
            # Cutting ranges beside it closes shares that do not add up: 60 s and 1,200 open domains, not 3 s and 60.
            return Plan(("input",), f"two coupled networks, of whose inputs {varying} vary: boxes are cut")
        return Plan(("input", "value"), f"{varying} inputs vary (at most {FEW_INPUTS}): boxes are cut, ranges of "
                                        "neurons in turn with them as long as that looks better")
    if varying > FEW_INPUTS:
        return Plan(("relu",), f"{varying} inputs vary and {unstable} neurons are unstable: ReLUs are split")
    if unstable <= FEW_NEURONS:
        return Plan(("relu", "input"), f"only {unstable} ReLUs are unstable: they are split, boxes in turn with them")
    return Plan(("input", "relu"), f"{varying} inputs vary (at most {FEW_INPUTS}): boxes are cut, ReLUs in turn with "
                                   "them as long as that looks better")


def root_options(network: CompactNetwork, seconds: float, iterations: int = 30) -> AscentOptions:
    """alpha-CROWN for the intermediate bounds, as many iterations as `seconds` allow."""
    cost, prefix = 0, 0
    for layer in network.layers:
        prefix += layer.weight.numel()
        cost += 2 * layer.size * 4 * prefix
    affordable = int(seconds * ROOT_RATE / max(cost, 1))
    return AscentOptions(iterations=min(iterations, affordable), lr_alpha=0.25)


@dataclass(frozen=True, eq=False)
class RootState:
    """Root bounds of a query: what is proved already (`margins` (D,)), and the collapsed network for the search, None
    when a value without bounds (1 / x across 0) leaves nothing to collapse."""

    root: Root
    network: CompactNetwork | None
    margins: Tensor

    @property
    def proved(self) -> bool:
        return bool((self.margins > 0).all())


def analyse_root(query: Query, budget: Budget, trace: RootTrace = UNWATCHED) -> RootState:
    """CROWN bounds of the query, on the graph where the collapsed network would be too large. Raises `TimeoutError`,
    and `Unbounded` when a value has no bounds and the inputs are too many to be cut."""
    box = query.interval()
    varying = torch.from_numpy(query.varying).to(box.lower.device)
    with torch.no_grad():
        try:
            root = compact_root(query.graph, box, varying, budget.memory_bytes, lambda: budget.expired)
        except Unbounded:
            if len(query.varying) > FEW_INPUTS:
                raise
            bounds = ibp(query.graph, box)
            root = Root(bounds, None, bounds[query.graph.output].lower.flatten())
        except OutOfResources:
            root, margins = graph_root(query, budget)
            return RootState(root, None, margins)
    margins = closed_disjuncts(root.row_lower, query.members)
    trace.bounded(margins)
    return RootState(root, root.network, margins)


def strengthen_root(query: Query, state: RootState, budget: Budget, trace: RootTrace = UNWATCHED) -> RootState:
    """alpha-CROWN at the root: the rows first (cheap), then rounds of intermediate bounds and rows."""
    limit = budget.slice(min(ROOT_SECONDS, ROOT_SHARE * budget.remaining))
    members = query.members.to(state.margins.device)
    with torch.no_grad():
        network = state.network.to(dtype=torch.float64)
        margins = raise_margins(network, members, state.margins.to(torch.float64), expired=lambda: limit.expired,
                                trace=trace)
        for _ in range(ROOT_ROUNDS):
            options = root_options(network, limit.remaining)
            if bool((margins > 0).all()) or options.iterations < 4:
                break
            before = margins
            network = drop_stable(refine(network, options, lambda: limit.expired, trace=trace))
            margins = raise_margins(network, members, margins, expired=lambda: limit.expired, trace=trace)
            if bool(((margins - before) < ROOT_GAIN * before.abs())[~(margins > 0)].all()):
                break
    return replace(state, network=network, margins=margins)


def search(query: Query, state: RootState, budget: Budget, settings: Settings, attacker: Attacker | None = None
           ) -> Result:
    """Branch and bound from a root that did not decide. Every mode of the plan gets a first turn, then the attack;
    after that the modes race, on small problems with a mixed-integer program beside them."""
    plan = _recordable(choose_plan(query, state.root), state, settings)
    searches: list[Search] = []
    for mode in plan.modes:
        if mode in ("relu", "value"):
            state = strengthen_root(query, state, budget, settings.root_trace)
            if state.proved:
                return _verified(state.margins, 1, "alpha-crown", budget, 1)
        searches.append(make_search(mode, query, state, settings))
        outcome = searches[-1].run(budget.slice(FIRST_TURN))
        if outcome.reason is not Reason.TIMEOUT or budget.expired:
            return _result(outcome, state.margins, searches[-1].phase, budget)
    probe = attacker.probe if attacker is not None else None
    witness = probe(budget.slice(FIRST_TURN)) if probe is not None else None
    if witness is not None:
        return Result.falsified(witness, stats=Stats(budget.elapsed, method="attack"))
    if not searches:
        return _without_search(state, plan, budget, probe)
    small = "relu" in plan.modes and state.network.relu_only and state.network.unstable <= MILP_NEURONS
    if small:
        return race_with_milp(query, state, searches, budget, probe, may_prove=settings.recorder is None)
    return _result(race(searches, budget, 2 * FIRST_TURN, probe), state.margins, _names(searches), budget)


def _without_search(state: RootState, plan: Plan, budget: Budget,
                    probe: Callable[[Budget], Witness | None] | None) -> Result:
    """The rest of the time, or half a minute of unlimited time, goes to the attack."""
    seconds = 0.95 * budget.remaining if math.isfinite(budget.remaining) else ATTACK_SECONDS
    witness = probe(budget.slice(seconds)) if probe is not None else None
    if witness is not None:
        return Result.falsified(witness, stats=Stats(budget.elapsed, method="attack"))
    least, count = float(state.margins.min()), int((~(state.margins > 0)).sum())
    return Result.unknown(Reason.INCOMPLETE, f"alpha-CROWN leaves {count} disjuncts open (worst bound {least:.4g}); "
                          f"{plan.why}", stats=Stats(budget.elapsed, best_bound=least))


def _recordable(plan: Plan, state: RootState, settings: Settings) -> Plan:
    """The plan for which a proof can be written: certificates know splits of inputs and of ReLUs."""
    if settings.recorder is None or "value" not in plan.modes:
        return plan
    known = all(isinstance(layer.op, (Relu, SShaped)) for layer in state.network.layers)
    relus = known and any(isinstance(layer.op, Relu) for layer in state.network.layers)
    modes = tuple("relu" if mode == "value" else mode for mode in plan.modes if mode != "value" or relus)
    return Plan(modes or (("relu",) if known else plan.modes), plan.why)


def race_with_milp(query: Query, state: RootState, searches: list[Search], budget: Budget,
                   probe: Callable[[Budget], Witness | None] | None, may_prove: bool = True) -> Result:
    """The searches, with a mixed-integer solver in a thread beside them; the first answer counts (of the solver only a
    counterexample unless it `may_prove`)."""
    rival = Rival(query, state.network, state.margins, budget, may_prove)
    try:
        outcome = race(searches, budget.until(rival.decided), 2 * FIRST_TURN, probe)
        if outcome.reason is not None and rival.decided():
            return rival.result()
    finally:
        rival.close()
    return _result(outcome, state.margins, _names(searches), budget)


def _names(searches: list[Search]) -> str:
    return " and ".join(run.phase for run in searches)


def make_search(mode: str, query: Query, state: RootState, settings: Settings) -> Search:
    """A search over the disjuncts that the root left open."""
    open_disjuncts = ~(state.margins > 0)
    recorder = settings.recorder
    if mode == "input":
        bounder = InputSplitBounder(query, query.interval(), state.root.bounds, open_disjuncts)
        trace = None if recorder is None else recorder.current.input_tree(open_disjuncts)
    elif mode == "value":
        bounder, trace = ValueSplitBounder(query, state.network, query.interval(), open_disjuncts), None
    else:
        options = ReluSplitOptions(evidence=recorder is not None)
        bounder = ReluSplitBounder(query, state.network, query.interval(), open_disjuncts, torch.float32, options)
        trace = None if recorder is None else recorder.current.relu_tree(state.network)
    return Search(bounder, query.replay, trace=trace, watch=settings.watch, phase=f"{mode} splits")


def _verified(margins: Tensor, leaves: int, method: str, budget: Budget, domains: int) -> Result:
    least = float(margins.min()) if margins.numel() else float("inf")
    return Result.verified(ClosedTree(leaves, least),
                           stats=Stats(budget.elapsed, domains, least, method))


def _result(outcome: Outcome, root_margins: Tensor, phase: str, budget: Budget) -> Result:
    stats = Stats(budget.elapsed, outcome.domains, outcome.best_bound, f"bab ({phase})")
    if outcome.witness is not None:
        return Result.falsified(outcome.witness, stats=stats)
    if outcome.closed:
        least = min([outcome.smallest_margin, *root_margins[root_margins > 0].tolist()])
        return Result.verified(ClosedTree(outcome.leaves, least), stats=stats)
    detail = f"{outcome.open_domains} domains open, worst bound {outcome.best_bound:.4g}"
    return Result.unknown(outcome.reason or Reason.NUMERICS, detail, stats=stats)


class BabVerifier:
    """Root bounds and search, without an attack."""

    name, sound, complete_for, semantics = "bab", True, "ReLU networks", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        try:
            state = analyse_root(query, budget, self.settings.root_trace)
            if state.proved:
                return _verified(state.margins, 1, self.name, budget, 1)
            return search(query, state, budget, self.settings)
        except TimeoutError:
            return Result.unknown(Reason.TIMEOUT)
        except OutOfResources as error:
            return Result.unknown(Reason.MEMORY, str(error))
        except Unbounded as error:
            return Result.unknown(Reason.NUMERICS, str(error))
