"""What `verify info` says of a network, or of a property on it: shapes, operators, neurons, dangers, the method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from verify.bounds.compact import CompactNetwork
from verify.bounds.ibp import ibp
from verify.budget import Budget
from verify.engines.bab import analyse_root, choose_plan
from verify.errors import Float32Overflow, OutOfResources, Unbounded
from verify.onnx_import import Network
from verify.onnx_import.diagnose import dangers
from verify.pipeline import Problem, choose_dtype, graph_flops
from verify.report import MEANING
from verify.semantics import check_semantics

MOST_DANGERS = 10


@dataclass(frozen=True)
class Explanation:
    """What `verify info` shows: one line each."""

    text: tuple[str, ...]

    def lines(self) -> list[str]:
        return list(self.text)


def explain(subject: Problem | Network, semantics: str = "real") -> Explanation:
    """Shapes, operators, unstable neurons, memory, numerically dangerous nodes, and the method that a run would choose,
    and why."""
    network = subject.network if isinstance(subject, Problem) else subject
    semantics = subject.semantics if isinstance(subject, Problem) else semantics
    check_semantics(semantics, network)
    text = [
        f"network      {network.source}",
        f"opset        {network.opset}",
        *_ports(network),
        f"semantics    {semantics}: an answer is about {MEANING[semantics]}",
        "operators    " + ", ".join(f"{op} x{count}" for op, count in sorted(network.operators.items())),
        f"nonlinear    {sum(map(network.graph.neurons, network.graph.nonlinear))} neurons in "
        f"{len(network.graph.nonlinear)} layers",
        f"work         {graph_flops(network.graph):,} multiplications per evaluation, bounds in "
        f"{str(choose_dtype('auto', network.graph)).removeprefix('torch.')}",
    ]
    if isinstance(subject, Problem):
        text += _explain_cases(subject)
    return Explanation(tuple(text))


def _ports(network: Network) -> Iterable[str]:
    for part in network.parts:
        prefix = f"{part.name}/" if part.name else ""
        for role, ports in (("input", part.inputs), ("output", part.outputs)):
            for port in ports:
                yield f"{role:<12} {prefix}{port.name} {list(port.shape)}"


def _explain_cases(problem: Problem) -> Iterable[str]:
    yield f"property     {problem.spec.source}: {len(problem.spec.cases)} input boxes"
    for number, case in enumerate(problem.spec.cases[:3]):
        if case.box.empty is not None:
            yield f"box {number}        is empty ({problem.spec.name('X', case.box.empty)})"
            continue
        query = problem.query(case, dtype=choose_dtype("auto", problem.network.graph))
        yield (f"box {number}        {len(query.varying)} of {problem.spec.inputs} inputs vary, {len(case.disjuncts)} "
               f"disjuncts, {query.rows} rows")
        try:
            state = analyse_root(query, Budget())
        except (OutOfResources, Unbounded, Float32Overflow) as error:
            yield f"             no bounds: {error}"
            yield from _dangers(dangers(query.graph, ibp(query.graph, query.interval())))
            continue
        yield from _dangers(dangers(query.graph, state.root.bounds))
        if state.network is not None:
            yield from _explain_network(state.network)
        open_ = int((~(state.margins > 0)).sum())
        if not open_:
            yield f"             CROWN proves it, margin {float(state.margins.min()):.4g}"
        else:
            yield f"             CROWN leaves {open_} disjuncts open, worst bound {float(state.margins.min()):.4g}"
            yield f"             method: {choose_plan(query, state.root).why}"


def _dangers(found: list[str]) -> Iterable[str]:
    for line in found[:MOST_DANGERS]:
        yield f"             danger: {line}"
    if len(found) > MOST_DANGERS:
        yield f"             danger: {len(found) - MOST_DANGERS} more"


def _explain_network(network: CompactNetwork) -> Iterable[str]:
    yield f"             {network.unstable} unstable neurons in layers of {[layer.size for layer in network.layers]}"
    matrices = sum(layer.weight.numel() * layer.weight.element_size() for layer in network.layers)
    yield f"             {matrices / 2**20:.1f} MiB for the collapsed network"
