"""The ticket criterion, its tests against chance, and which round is judged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pruning.measure import Check
from pruning.rounds import Round
from pruning.tickets import candidate, judge, sign_flips
from training.evaluation import Evaluation, Image
from training.statistics import mcnemar
from verify.errors import InvalidInput


def evaluation(statuses: str, first: int = 0) -> Evaluation:
    """One letter per image: v verified, u undecided, m misclassified."""
    names = {"v": "verified", "u": "undecided", "m": "misclassified"}
    images = tuple(Image(first + k, 0, 0, names[letter]) for k, letter in enumerate(statuses))
    return Evaluation("n", "", 0, 0, 0, (1,), 2, 0.1, None, "CROWN", (), images, ())


def run(*checks: tuple[float, float]) -> list[Round]:
    return [Round(k, 0.5**k, 1, 1, Check(100, clean, 100, clean, verified, 0), 0, {}, None)
            for k, (clean, verified) in enumerate(checks)]


def test_a_clear_ticket():
    dense, pruned = evaluation("v" * 10 + "u" * 30 + "m" * 10), evaluation("v" * 40 + "m" * 10)
    found = judge([dense] * 3, [pruned] * 3)
    assert found.ticket and found.verdict == "certified lottery ticket"
    assert (found.images, found.seeds, found.clean.gain) == (50, 3, 0)
    assert found.verified.gain == pytest.approx(0.6) and found.verified.seeds == (mcnemar(30, 0),) * 3
    assert found.verified.p < 0.001 and found.clean.p == 1
    assert "**certified lottery ticket**" in found.lines()[0]
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["ticket"] is True


def test_a_gain_within_chance_is_called_so():
    found = judge([evaluation("vvuuuuuumm")], [evaluation("vvvuuuuumm")])
    assert found.ticket and found.verdict == "certified lottery ticket, but its verified gain is within chance"
    assert "one seed" in found.lines()[-1]
    json.dumps(found.as_dict(), allow_nan=False)


def test_both_accuracies_count():
    lower = judge([evaluation("v" * 10 + "u" * 40)], [evaluation("v" * 40 + "m" * 10)])
    assert not lower.ticket and lower.verdict == "no ticket: clean accuracy is lower"
    slightly = judge([evaluation("vvuu")], [evaluation("vuuu")])
    assert slightly.verdict == "no ticket: verified accuracy is lower, though within chance"


def test_means_over_seeds_decide():
    """One seed loses an image, the other gains two."""
    found = judge([evaluation("vuuu"), evaluation("uuuu")], [evaluation("uuuu"), evaluation("vvuu")])
    assert found.ticket and found.verified.gain == pytest.approx(1 / 8)
    assert found.verified.low < 0 < found.verified.high


def test_the_candidate_comes_from_validation():
    assert candidate([run((0.9, 0.3), (0.91, 0.4), (0.9, 0.5), (0.8, 0.9))]) == 2
    assert candidate([run((0.9, 0.3), (0.89, 0.4))]) is None
    seeds = [run((0.9, 0.3), (0.92, 0.4)), run((0.9, 0.3), (0.88, 0.4), (0.9, 0.9))]
    assert candidate(seeds) == 1, "means, over the rounds that all seeds have"
    with pytest.raises(InvalidInput, match="at least one schedule"):
        candidate([])


def test_sign_flips_agree_with_the_exact_test():
    """With one seed the differences are signs, and the test is McNemar's."""
    for wins, losses in ((5, 0), (8, 2), (3, 3)):
        changes = np.array([1.0] * wins + [-1.0] * losses + [0.0] * 20)
        assert sign_flips(changes) == pytest.approx(mcnemar(wins, losses), abs=0.01)
    assert sign_flips(np.zeros(5)) == 1


def test_what_cannot_be_paired():
    with pytest.raises(InvalidInput, match="seed by seed"):
        judge([evaluation("v")], [])
    with pytest.raises(InvalidInput, match="same images"):
        judge([evaluation("vv")], [evaluation("vv", first=3)])
