"""From files to a result: load, compare with onnxruntime, run an engine case by case, combine.

`Portfolio` is the default engine: a short attack, root bounds, more attack, branch and bound, under one budget.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from verify.bounds.walk import forward
from verify.budget import Budget
from verify.certificate.recorder import Recorder
from verify.certificate.robustness import labelled
from verify.certificate.witness import Replayer
from verify.engines import create
from verify.engines.attack import Attacker
from verify.engines.bab import analyse_root, search
from verify.engines.base import Settings, Verifier, silent
from verify.engines.boxes import settle_boxes
from verify.errors import Float32Overflow, InvalidInput, OutOfResources, ShapeMismatch, Unbounded
from verify.graph import Graph
from verify.onnx_import import Network, load_network
from verify.onnx_import.bind import bound
from verify.onnx_import.simplify import simplify
from verify.options import SEMANTICS
from verify.progress import Observer, Progress
from verify.query import Case, Query, Spec, lower
from verify.result import ClosedTree, Reason, Result, Stats, Verdict, Witness
from verify.runtime import full_precision
from verify.semantics import asked, check_semantics, stated
from verify.sets import Interval
from verify.supervise import is_allocation_failure

if TYPE_CHECKING:
    pass

DOUBLE_FLOPS = 1e9
"""Networks of more multiplications than this per evaluation are bounded in float32, all others in float64: the rigorous
rounding charges of float32 cost more margin than float64 costs time (at the root 1.0 to 1.8 times on two cores; on a
residual network the worst bound fell from -0.76 to -5.4 in float32)."""

COMPARED_POINTS = 8

MANY_BOXES = 4
BATCHED = ("portfolio", "bab", "crown", "alpha-crown", "milp")
"""From this many input boxes on, these engines (all at least as strong as CROWN) get only those that one batched CROWN
pass leaves open."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A network and a property that fit each other. `semantics`: what the network means, its function over the `real`
    numbers or every `float32` execution of it (`verify.bounds.noise`)."""

    network: Network
    spec: Spec
    semantics: str = "real"

    def __post_init__(self) -> None:
        check_semantics(self.semantics, self.network)
        inputs, outputs = math.prod(self.network.input_shape), math.prod(self.network.output_shape)
        if (self.spec.inputs, self.spec.outputs) != (inputs, outputs):
            raise ShapeMismatch(
                f"{self.spec.source} declares {self.spec.inputs} inputs and {self.spec.outputs} outputs; "
                f"{self.network.source} has {inputs} and {outputs} (shapes {list(self.network.input_shape)} and "
                f"{list(self.network.output_shape)})"
            )

    @property
    def graph(self) -> Graph:
        """The network's graph under the semantics, not simplified."""
        return self.network.graph if self.semantics == "real" else self.network.declared

    @cached_property
    def replayer(self) -> Replayer:
        return Replayer(self.network.parts, self.spec, self.network.wiring)

    def query(self, case: Case, device: str = "cpu", dtype: torch.dtype = torch.float64) -> Query:
        """The case as an engine sees it: rows appended, graph simplified, moved to device and dtype."""
        query = lower(case, self.graph, self.spec)
        graph = simplify(query.graph)
        exact = replace(query, graph=graph)
        return replace(query, graph=graph.to(device, dtype), replay=lambda x: self._replay(x, exact))

    def _replay(self, x: torch.Tensor, query: Query) -> Witness | None:
        """A witness inside the box; where an input's limits hold no float of the network's type, the nearest floats
        count if intervals prove that the real points of the box next to them are unsafe, too."""
        found = self.replayer.check(x, query.case)
        if found is not None:
            return found
        near = self.replayer.check_nearest(x, query.case)
        return near if near is not None and near.outside > 0 and surely_unsafe(query, near) else None


def load_problem(network: str | Path | Mapping[str, str | Path], spec: str | Path, semantics: str = "auto") -> Problem:
    """Reads the files; `network`: one file, or one for each network that the property names. Raises `VerifyError`s that
    name the culprit."""
    from verify.vnnlib import read_spec

    property_ = read_spec(spec)
    models = ({name: load_network(path) for name, path in network.items()} if isinstance(network, Mapping)
              else load_network(network))
    return Problem(bound(models, property_), property_, asked(property_, semantics))


def compare_import(problem: Problem) -> None:
    """Our graph against onnxruntime on points of the input set: centre, corners, random ones. Raises `ImportMismatch`.
    """
    from verify.onnx_import.compare import compare_with_onnxruntime

    shape = problem.network.input_shape
    generator = torch.Generator().manual_seed(0)
    for case in problem.spec.cases[:2]:
        if case.box.empty is None:
            box = case.box.interval(shape)
            points = torch.cat([box.center, box.lower, box.upper, box.sample(COMPARED_POINTS - 3, generator)])
            compare_with_onnxruntime(problem.network, points)


def surely_unsafe(query: Query, witness: Witness) -> bool:
    """True when interval arithmetic proves that every real point of the box within an ulp of the witness is unsafe.

    `query.graph` in float64 on the CPU."""
    box = query.interval()
    x = torch.from_numpy(witness.x.astype("float64")).reshape(box.lower.shape)
    inside = torch.minimum(torch.maximum(x, box.lower), box.upper)
    # Entries that hold a float are exactly that float; the others are the declared constant, up to its rounding.
    holds = torch.from_numpy(query.box.inner_lower <= query.box.inner_upper).reshape(box.lower.shape)
    point = Interval(torch.where(holds, inside, box.lower), torch.where(holds, inside, box.upper))
    rows = forward(query.graph, point)[query.graph.output].upper[0]
    unsafe = torch.where(query.members, rows, torch.full_like(rows, -torch.inf)).amax(1)
    return bool((unsafe < 0).any())


def graph_flops(graph) -> int:
    """Multiplications of one evaluation, counted at the linear layers."""
    total = 0
    for node in graph.nodes:
        if node.op.linear and node.inputs:
            total += node.op.terms(*graph.input_shapes(node)) * math.prod(node.shape)
    return total


def choose_dtype(name: str, graph) -> torch.dtype:
    """The dtype of the bounds: as asked, or by the size of the network."""
    if name != "auto":
        return {"float32": torch.float32, "float64": torch.float64}[name]
    return torch.float32 if graph_flops(graph) > DOUBLE_FLOPS else torch.float64


def choose_device(name: str) -> str:
    """`auto` takes a GPU when there is one; asking for one that is missing is an error."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InvalidInput(f"device {name!r} was asked for, but torch finds no CUDA device; `cpu` would be accepted")
    return name


def solve(problem: Problem, method: str = "portfolio", budget: Budget | None = None, device: str = "auto",
          dtype: str = "auto", seed: int = 0, on_progress: Observer | None = None, recorder: Recorder | None = None
          ) -> Result:
    """Decides the property. The cases of the spec (input boxes) are decided one after the other: one violated case
    refutes it, all of them must be proved. `recorder` keeps the evidence of a proof; then nothing counts as one that
    could not be checked (a MILP solver's word)."""
    budget = budget or Budget()
    settings = Settings(seed, on_progress or silent, recorder)
    with full_precision():
        engine = create(method, settings)
        if problem.semantics != "real" and problem.semantics not in engine.semantics:
            raise InvalidInput(f"method {method!r} cannot decide under semantics {problem.semantics}; real would be "
                               "accepted")
        result = _solve(problem, engine, settings, budget, device, dtype)
        result = labelled(result, problem.network, problem.spec, budget)
    return stated(result, problem.spec, problem.semantics)


def _solve(problem: Problem, engine: Verifier, settings: Settings, budget: Budget, device: str, dtype: str) -> Result:
    settings.watch(Progress("comparing with onnxruntime"))
    compare_import(problem)
    loaded = budget.elapsed
    place = choose_device(device), choose_dtype(dtype, problem.network.graph)
    results = _easy_cases(problem, engine, settings, budget, place)
    open_ = [k for k, case in enumerate(problem.spec.cases) if k not in results]
    for position, k in enumerate(open_):
        # Every box that is left gets a fair turn, so that a hard one does not hide the counterexample of another.
        left = len(open_) - position
        turn = budget if left == 1 else budget.slice(2 * budget.remaining / (left + 1))
        results[k] = _decide_case(problem, k, engine, settings, place, turn)
        if results[k].verdict is Verdict.FALSIFIED or budget.expired:
            break
    for k in open_:
        if k in results and results[k].reason is Reason.TIMEOUT and not budget.expired:
            results[k] = _decide_case(problem, k, engine, settings, place, budget)
    return _with_phase(combine(list(results.values()), len(problem.spec.cases), budget), "load", loaded)


def _easy_cases(problem: Problem, engine: Verifier, settings: Settings, budget: Budget,
                place: tuple[str, torch.dtype]) -> dict[int, Result]:
    """The cases that need no engine: empty boxes, and (for engines that prove) what one batched pass over many boxes
    settles."""
    cases, results = problem.spec.cases, {}
    for k, case in enumerate(cases):
        if case.box.empty is not None:
            what = "the input set" if len(cases) == 1 else f"input box {k}"
            name = problem.spec.name("X", case.box.empty)
            note = f"{what} is empty: {name} has its lower bound above its upper bound"
            results[k] = Result.verified(ClosedTree(1, math.inf, note))
    if len(cases) >= MANY_BOXES and engine.name in BATCHED:
        settings.watch(Progress("bounds of all boxes", len(cases)))
        graph = simplify(problem.graph).to(*place)
        try:
            margins = settle_boxes(graph, cases, budget)
        except Float32Overflow:
            margins = []  # the hull of all boxes may be large; each box gets its own bounds from the engine
        for k, margin in enumerate(margins):
            if margin > 0 and k not in results:
                stats = Stats(method="crown", domains=1, best_bound=margin)
                results[k] = Result.verified(ClosedTree(1, margin), stats=stats)
    if settings.recorder is not None:
        for k in results:
            settings.recorder.settled(k, len(cases[k].disjuncts) if cases[k].box.empty is None else 0)
    return results


def _decide_case(problem: Problem, k: int, engine: Verifier, settings: Settings, place: tuple[str, torch.dtype],
                 budget: Budget) -> Result:
    """The engine's answer to case k, watched by the recorder."""
    query = problem.query(problem.spec.cases[k], *place)
    if settings.recorder is None:
        return _decide(engine, query, budget)
    settings.recorder.begin(k, query)
    result = _decide(engine, query, budget)
    settings.recorder.end(result.verdict is Verdict.VERIFIED)
    return result


def _decide(engine: Verifier, query: Query, budget: Budget) -> Result:
    """The engine's answer; running out of time or memory anywhere inside it is `unknown`."""
    try:
        return engine.verify(query, budget)
    except TimeoutError:
        return Result.unknown(Reason.TIMEOUT)
    except OutOfResources as error:
        return Result.unknown(Reason.MEMORY, str(error))
    except (Float32Overflow, Unbounded) as error:
        return Result.unknown(Reason.NUMERICS, str(error))
    except (MemoryError, RuntimeError) as error:
        if not is_allocation_failure(error):
            raise
        return Result.unknown(Reason.MEMORY, " ".join(str(error).split())[:200])


def _with_phase(result: Result, name: str, seconds: float) -> Result:
    return replace(result, stats=replace(result.stats, phases={name: seconds, **result.stats.phases}))


def combine(results: list[Result], cases: int, budget: Budget) -> Result:
    """One result for all cases: falsified if one is, verified if all are, else the first unknown."""
    if not results:
        return Result.verified(ClosedTree(1, math.inf, "the property is empty: nothing is unsafe"))
    phases: dict[str, float] = {}
    for result in results:
        for name, seconds in result.stats.phases.items():
            phases[name] = phases.get(name, 0.0) + seconds
    for wanted in (Verdict.FALSIFIED, Verdict.UNKNOWN):
        found = next((r for r in results if r.verdict is wanted), None)
        if found is not None:
            break
    domains = sum(r.stats.domains for r in results)
    if found is None and len(results) < cases:
        return Result.unknown(Reason.TIMEOUT, f"{len(results)} of {cases} input boxes decided",
                              stats=Stats(budget.elapsed, domains, phases=phases))
    last = found or results[-1]
    stats = replace(last.stats, seconds=budget.elapsed, domains=domains, phases=phases)
    if found is not None:
        return replace(found, stats=stats)
    trees = [r.tree for r in results if r.tree is not None]
    notes = "; ".join(dict.fromkeys(t.note for t in trees if t.note))
    stats = replace(stats, best_bound=min(t.smallest_margin for t in trees))
    tree = ClosedTree(sum(t.leaves for t in trees), min(t.smallest_margin for t in trees), notes)
    return Result.verified(tree, stats=stats)


class Portfolio:
    """The default engine: one round of the attack, root bounds, then branch and bound with the attack in turns."""

    name, sound, complete_for, semantics = "portfolio", True, "ReLU networks", SEMANTICS

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def verify(self, query: Query, budget: Budget) -> Result:
        clock = Clock()
        attacker = Attacker(query, self.settings.seed)
        self.settings.watch(Progress("attack", 1))
        witness = clock.time("attack", lambda: attacker.round(_share(budget, 0.1)))
        if witness is not None:
            result = Result.falsified(witness, stats=Stats(method="attack"))
        else:
            result = self._bound(query, budget, attacker, clock)
        return replace(result, stats=replace(result.stats, phases=clock.phases, seconds=budget.elapsed))

    def _bound(self, query: Query, budget: Budget, attacker: Attacker, clock: Clock) -> Result:
        self.settings.watch(Progress("root bounds", 1))
        try:
            state = clock.time("root bounds", lambda: analyse_root(query, budget, self.settings.root_trace))
            if state.proved:
                least = float(state.margins.min()) if state.margins.numel() else math.inf
                return Result.verified(ClosedTree(1, least), stats=Stats(method="crown", domains=1, best_bound=least))
            return clock.time("search", lambda: search(query, state, budget, self.settings, attacker))
        except TimeoutError:
            return Result.unknown(Reason.TIMEOUT, "in the root bounds")
        except (OutOfResources, Float32Overflow, Unbounded) as error:
            # No bounds: all that is left is to look for a counterexample.
            witness = clock.time("attack", lambda: attacker.probe(_share(budget, 0.9)))
            reason = Reason.MEMORY if isinstance(error, OutOfResources) else Reason.NUMERICS
            return Result.unknown(reason, str(error)) if witness is None else Result.falsified(witness)


def _share(budget: Budget, share: float) -> Budget:
    """A part of the remaining time; half a minute of unlimited time."""
    return budget.slice(share * budget.remaining if math.isfinite(budget.remaining) else 30.0)


class Clock:
    """Seconds per phase, added up."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}

    def time(self, phase: str, work: Callable):
        start = time.monotonic()
        try:
            return work()
        finally:
            self.phases[phase] = self.phases.get(phase, 0.0) + time.monotonic() - start
