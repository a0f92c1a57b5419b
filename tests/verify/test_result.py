"""A verdict needs its evidence."""

import numpy as np
import pytest

from verify.errors import BrokenInvariant
from verify.result import ClosedTree, Reason, Result, Robustness, Verdict, Witness

WITNESS = Witness(np.zeros(1), np.zeros(1), 0.0)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_no_verdict_without_evidence(verdict):
    with pytest.raises(BrokenInvariant, match="evidence or reason"):
        Result(verdict)


@pytest.mark.parametrize(("verdict", "foreign"), [
    (Verdict.VERIFIED, {"witness": WITNESS}), (Verdict.VERIFIED, {"reason": Reason.TIMEOUT}),
    (Verdict.FALSIFIED, {"tree": ClosedTree(1, 1.0)}), (Verdict.UNKNOWN, {"tree": ClosedTree(1, 1.0)}),
])
def test_foreign_evidence_does_not_count(verdict, foreign):
    with pytest.raises(BrokenInvariant):
        Result(verdict, **foreign)


@pytest.mark.parametrize("margin", [0.0, -1e-300, float("nan"), float("-inf")])
def test_a_tree_closes_only_with_positive_margins(margin):
    with pytest.raises(BrokenInvariant, match="positive margins"):
        ClosedTree(1, margin)


@pytest.mark.parametrize(("result", "word"), [
    (Result.verified(ClosedTree(1, 1e-9)), "unsat"), (Result.falsified(WITNESS), "sat"),
    (Result.unknown(Reason.TIMEOUT), "timed-out"),
    *((Result.unknown(reason), "unknown") for reason in Reason if reason is not Reason.TIMEOUT),
])
def test_words_of_the_competition(result, word):
    assert result.as_vnncomp == word


@pytest.mark.parametrize(("rounding", "text"), [(3.01e-6, "3.1e-6"), (1.0, "1.0"), (0.0, "0"), (9.99e-8, "1.0e-7")])
def test_what_rounding_can_do_is_printed_rounded_up(rounding, text):
    shown = Robustness("robust", 1.0, 1.0, rounding, True, "").at_most
    assert float(shown) >= rounding and float(shown) == float(text)
