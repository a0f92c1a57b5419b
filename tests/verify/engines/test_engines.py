"""What every engine owes: a right answer or `unknown`, whatever it is asked."""

from dataclasses import replace

import pytest
import torch

from tests.verify.engines.problems import broken, problem, query
from verify.budget import Budget
from verify.engines import BUILT_IN, create, names
from verify.engines.base import Settings
from verify.errors import InvalidInput, VerifyError
from verify.pipeline import Problem
from verify.result import Reason, Verdict

ENGINES = tuple(name for name in BUILT_IN if name != "auto-lirpa")
DTYPES = (torch.float64, torch.float32)
NETWORKS = ("abs", "hat", "max")
SECONDS = {"attack": 0.3}


def run(engine, q):
    with torch.random.fork_rng():
        return create(engine, Settings()).verify(q, Budget.seconds(SECONDS.get(engine, 20)))


def test_names_start_with_the_default_and_hold_all():
    assert names()[0] == "portfolio"
    assert set(BUILT_IN) <= set(names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_name_creates_an_engine_with_honest_traits(name):
    engine = create(name, Settings())
    assert isinstance(engine.name, str) and isinstance(engine.sound, bool)
    assert isinstance(engine.complete_for, str) and engine.semantics
    assert engine.name == name


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(InvalidInput, match=r"'crwn'.*portfolio.*crown.*milp"):
        create("crwn", Settings())


def test_a_third_party_engine_by_entry_point(monkeypatch):
    from importlib.metadata import EntryPoint

    import verify.engines as engines

    entry = EntryPoint("copy-of-ibp", "verify.engines.ibp:IbpVerifier", engines.GROUP)
    monkeypatch.setattr(engines, "entry_points", lambda group: [entry])
    assert "copy-of-ibp" in names()
    assert create("copy-of-ibp", Settings()).name == "ibp"
    clash = EntryPoint("crown", "verify.engines.ibp:IbpVerifier", engines.GROUP)
    monkeypatch.setattr(engines, "entry_points", lambda group: [clash])
    with pytest.raises(VerifyError, match="crown"):
        names()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_property_that_holds(engine, network, dtype):
    result = run(engine, query(network, 0.01, dtype))
    assert result.verdict is not Verdict.FALSIFIED
    if engine in ("bab", "milp", "portfolio"):
        assert result.verdict is Verdict.VERIFIED
        assert 0 < result.tree.smallest_margin <= 0.01 + 1e-6
    if engine == "attack":
        assert result.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_property_that_does_not_hold(engine, network, dtype):
    result = run(engine, query(network, -0.1, dtype))
    assert result.verdict is not Verdict.VERIFIED
    if engine in ("attack", "portfolio", "milp", "bab"):
        assert result.verdict is Verdict.FALSIFIED
        assert result.witness.violation >= 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_property_exactly_on_the_border_is_never_verified(engine, network, dtype):
    """The largest value itself is unsafe, and reached."""
    q = query(network, 0.0, dtype)
    result = create(engine, Settings()).verify(q, Budget.seconds(0.5))
    assert result.verdict is not Verdict.VERIFIED


@pytest.mark.parametrize("how", ["nan weight", "inf weight", "huge weight", "huge box"])
@pytest.mark.parametrize("engine", ENGINES)
def test_broken_numbers_are_never_verified(engine, how):
    try:
        result = create(engine, Settings()).verify(broken(how), Budget.seconds(0.5))
    except VerifyError:
        return
    assert result.verdict is Verdict.UNKNOWN
    assert isinstance(result.reason, Reason)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_spent_budget_never_proves_what_does_not_hold(engine):
    result = create(engine, Settings()).verify(query("abs", -0.1), Budget(deadline=-1.0))
    assert result.verdict is not Verdict.VERIFIED


@pytest.mark.parametrize("engine", ["alpha-crown", "milp"])
def test_no_memory_is_an_unknown_with_its_reason(engine):
    result = create(engine, Settings()).verify(query("abs", 0.01), Budget.seconds(5, memory_bytes=8))
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.MEMORY


@pytest.mark.parametrize("engine", ["bab", "portfolio"])
def test_without_memory_for_the_collapsed_network_the_graph_is_bounded(engine):
    result = create(engine, Settings()).verify(query("abs", 0.01), Budget.seconds(5, memory_bytes=8))
    assert result.verdict is not Verdict.FALSIFIED
    wrong = create(engine, Settings()).verify(query("abs", -0.01), Budget.seconds(1, memory_bytes=8))
    assert wrong.verdict is not Verdict.VERIFIED


@pytest.mark.parametrize("engine", ENGINES)
def test_a_property_whose_whole_box_is_unsafe_is_never_verified(engine):
    """A conjunction without output constraints; alone, and next to one that can be proved."""
    q = query("abs", 1000.0)
    alone = q.case.disjuncts[0][:0]
    for disjuncts in ((alone,), (*q.case.disjuncts, alone)):
        asked = problem("abs", 1000.0)
        case = replace(asked.spec.cases[0], disjuncts=disjuncts)
        asked = Problem(asked.network, replace(asked.spec, cases=(case,)))
        result = create(engine, Settings()).verify(asked.query(case), Budget.seconds(1))
        assert result.verdict is not Verdict.VERIFIED
        assert engine not in ("portfolio", "attack") or result.verdict is Verdict.FALSIFIED


@pytest.mark.parametrize("engine", ENGINES)
def test_a_property_without_any_unsafe_set_holds(engine):
    asked = problem("abs", 1000.0)
    case = replace(asked.spec.cases[0], disjuncts=())
    asked = Problem(asked.network, replace(asked.spec, cases=(case,)))
    result = create(engine, Settings()).verify(asked.query(case), Budget.seconds(0.5))
    assert result.verdict is (Verdict.UNKNOWN if engine == "attack" else Verdict.VERIFIED)
