import sys
import types
from dataclasses import replace

import pytest
import torch

from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.networks import ALL, Builder, boxes
from verify.bounds.alpha import alpha_crown
from verify.bounds.crown import crown
from verify.bounds.ibp import ibp
from verify.budget import Budget
from verify.engines import create
from verify.engines.auto_lirpa import METHODS, AutoLirpaVerifier, GraphModule, load, lower_bounds
from verify.engines.base import Settings
from verify.errors import InvalidInput, UnsupportedOperator
from verify.ops import ConvTranspose, Sigmoid, Transpose
from verify.result import Reason, Verdict


def importable() -> bool:
    try:
        load()
    except InvalidInput:
        return False
    return True


NEEDED = pytest.mark.skipif(not importable(), reason="auto_LiRPA >= 0.6 is not installed")


def small_query(name="mlp", seed=1, which=1):
    graph = ALL[name](seed)
    return query_of(graph, boxes(graph, seed)[which : which + 1],
                    [[constraint([(0, 1)], 0.5), constraint([(1, 1)], 0)], [constraint([(0, -1)], 1)]])


@pytest.mark.parametrize("name", ALL)
def test_the_module_evaluates_the_graph(name):
    graph = ALL[name](2)
    x = boxes(graph, 2).lower
    assert torch.allclose(GraphModule(graph)(x), graph.evaluate(x).expand(5, *graph[graph.output].shape), atol=1e-12)


def test_the_module_evaluates_the_remaining_primitives():
    b = Builder((1, 2, 3, 3))
    up = b.add(ConvTranspose(b.draw(2, 1, 2, 2), b.draw(1), stride=(2, 2)), "x")
    graph = b.graph(b.add(Transpose((0, 1, 3, 2)), b.add(Sigmoid(), up)))
    x = torch.rand(2, 1, 2, 3, 3, dtype=torch.float64)
    assert torch.allclose(GraphModule(graph)(x), graph.evaluate(x), atol=1e-12)


def test_an_unknown_primitive_is_named():
    graph = ALL["mlp"](0)
    strange = type("Strange", (), {"linear": False})()
    nodes = tuple(replace(n, op=strange) if n.name == "n2" else n for n in graph.nodes)
    with pytest.raises(UnsupportedOperator, match=r"Strange.*n2"):
        GraphModule(replace(graph, nodes=nodes))(boxes(graph).lower)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "auto_LiRPA", None)
    engine = create("auto-lirpa", Settings())
    with pytest.raises(InvalidInput, match="Verified-Intelligence/auto_LiRPA"):
        engine.verify(small_query(), Budget())


def test_an_old_package_is_refused(monkeypatch):
    old = types.ModuleType("auto_LiRPA")
    old.__version__ = "0.3.1"
    monkeypatch.setitem(sys.modules, "auto_LiRPA", old)
    with pytest.raises(InvalidInput, match=r"0\.3\.1.*0\.6"):
        load()


class FakeModule:
    """Claims +1 for every row."""

    def __init__(self, module, point, device):
        self.rows = module(point).numel()

    def compute_bounds(self, x, method, bound_upper):
        return torch.ones(1, self.rows), None


def fake(monkeypatch, **changes):
    package = types.ModuleType("auto_LiRPA")
    package.__version__ = "0.7.1"
    package.BoundedModule, package.PerturbationLpNorm = FakeModule, lambda **kw: None
    package.BoundedTensor = lambda x, norm: x
    for name, value in changes.items():
        setattr(package, name, value)
    monkeypatch.setitem(sys.modules, "auto_LiRPA", package)


def test_a_positive_bound_is_never_a_verdict(monkeypatch):
    fake(monkeypatch)
    result = AutoLirpaVerifier(Settings()).verify(small_query(), Budget())
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.INCOMPLETE
    assert result.stats.best_bound == 1 and "no proof" in result.detail
    assert AutoLirpaVerifier.sound is False


def test_a_spent_budget_is_a_timeout(monkeypatch):
    fake(monkeypatch)
    result = AutoLirpaVerifier(Settings()).verify(small_query(), Budget(deadline=-1.0))
    assert result.reason is Reason.TIMEOUT


@NEEDED
@pytest.mark.parametrize("name", ["mlp", "conv", "residual"])
def test_bounds_agree_on_relu_networks(name):
    """IBP and CROWN are the same formulas up to the intermediate bounds; our optimised bound keeps up with theirs."""
    query = small_query(name)
    box = query.interval()
    mine = ibp(query.graph, box)[query.graph.output].lower.flatten().float()
    assert torch.allclose(lower_bounds(query, "IBP"), mine, rtol=1e-4, atol=1e-4)
    plain = crown(query.graph, box)[0][0].float()
    theirs = lower_bounds(query, "CROWN")
    # Ours also meets every interval with interval arithmetic, so it may be ahead.
    assert bool((plain >= theirs - 1e-3).all())
    assert name != "mlp" or torch.allclose(theirs, plain, rtol=1e-3, atol=1e-3)
    best = alpha_crown(query.graph, box)[0][0].float()
    assert bool((best >= lower_bounds(query, "CROWN-Optimized") - 0.02 * (1 + plain.abs())).all())


@NEEDED
def test_the_engine_reports_the_best_of_its_bounds():
    query = small_query()
    result = create("auto-lirpa", Settings()).verify(query, Budget.seconds(60))
    rows = torch.stack([lower_bounds(query, method) for method in METHODS]).amax(0)
    margins = torch.where(query.members, rows, -torch.inf).amax(1)
    assert result.verdict is Verdict.UNKNOWN
    assert result.stats.best_bound == pytest.approx(float(margins.min()), abs=1e-3)
