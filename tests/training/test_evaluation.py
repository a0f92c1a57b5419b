"""Counts, intervals and the round trip through JSON of an evaluation written by hand."""

import json
import math

import pytest

from tests.training.evaluations import made
from training.evaluation import STATUSES, Evaluation
from verify.errors import InvalidInput


def test_counts_and_shares():
    found = made((*STATUSES, "verified", "verified", "undecided"))
    assert [found.count(what) for what in ("clean", "robust", "verified", "falsified", "undecided", "crown")] == [
        7, 6, 3, 2, 2, 3]
    assert found.count("clean") == found.count("verified") + found.count("falsified") + found.count("undecided")
    assert found.share("verified") == 3 / 8
    low, high = found.interval("verified")
    assert low < 3 / 8 < high
    assert found.unstable == 6.5 and found.area == 0.75
    with pytest.raises(InvalidInput, match="no flag 'best'; there are clean"):
        found.flags("best")


def test_times_count_only_what_was_asked():
    found = made(("misclassified", "attacked", "verified", "undecided"))
    assert [image.index for image in found.asked] == [2, 3]
    assert found.par2 == pytest.approx((1.0 + 4.0) / 2)
    assert math.isnan(made(()).par2) and math.isnan(made(()).share("clean"))


def test_round_trip_and_csv():
    found = made(STATUSES)
    assert Evaluation.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    lines = found.csv().splitlines()
    assert lines[0].startswith("network,index,label,predicted,status,crown")
    assert lines[3].startswith("net,2,0,0,verified,True,0.5,1.0,20")
    assert len(lines) == 6
