"""The experiment finds nothing wrong, and finds a verifier that forgets about rounding."""

from benchmarks.soundness import float_attacks
from benchmarks.soundness.float_attacks import attack_of, published, run
from benchmarks.soundness.questions import Answer


def test_nothing_is_wrong():
    tally = run(range(0, 12, 3), 1)
    assert tally.tried == 4 and not tally.wrong
    assert tally.counts["real: unsat"] and tally.counts["proved over the reals"]


def test_later_cases_are_drawn():
    names = [attack_of(k, 1).name for k in range(len(published()), len(published()) + 10)]
    assert len(set(names)) == 10 and {name.split("-")[0] for name in names} == {
        "swallowed", "hidden", "neurons", "order", "narrow"}
    assert attack_of(17, 1).model == attack_of(17, 1).model


def test_a_claim_about_float32_is_found(monkeypatch):
    def careless(model, spec, engine, seconds, dtype, semantics="real"):
        return Answer("unsat" if semantics == "float32" and engine == "crown" else "unknown")

    monkeypatch.setattr(float_attacks, "ask", careless)
    assert [finding.case for finding in run(range(4), 1).wrong] == [0, 1, 2, 3]


def test_a_false_claim_over_the_reals_is_found(monkeypatch):
    monkeypatch.setattr(float_attacks, "ask", lambda *args, semantics="real": Answer(
        "unsat" if semantics == "real" else "unknown"))
    wrong = {finding.case for finding in run(range(len(published())), 1).wrong}
    assert wrong == {k for k, attack in enumerate(published()) if not attack.holds}
