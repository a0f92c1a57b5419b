from tests.verify.engines.problems import query
from verify.budget import Budget
from verify.engines.attack import Attacker, AttackVerifier
from verify.engines.base import Settings
from verify.result import Reason, Verdict


def test_a_witness_is_replayed():
    result = AttackVerifier(Settings()).verify(query("hat", -0.1), Budget.seconds(20))
    assert result.verdict is Verdict.FALSIFIED
    assert 0.9 <= float(result.witness.x[0]) <= 1.1 and result.witness.y[0] >= 0.9


def test_the_same_seed_finds_the_same_witness():
    one, two = (AttackVerifier(Settings(seed=4)).verify(query("max", -0.5), Budget.seconds(20)) for _ in range(2))
    assert (one.witness.x == two.witness.x).all()


def test_candidates_that_do_not_replay_are_dropped():
    from dataclasses import replace

    q = replace(query("hat", -0.1), replay=lambda x: None)
    attacker = Attacker(q, 0)
    assert attacker.round(Budget()) is None and attacker.rounds == 1


def test_a_spent_budget_is_a_timeout():
    result = AttackVerifier(Settings()).verify(query("hat", 0.5), Budget(deadline=-1.0))
    assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.TIMEOUT
