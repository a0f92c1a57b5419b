import json
from pathlib import Path

import numpy as np

from tests.verify.pairs.toys import toy_pair
from verify.pairs.bisect import Spread, Step
from verify.pairs.cli import Asked
from verify.pairs.network import pair
from verify.pairs.report import seen_lines, shown, spread_document, spread_lines, steps_lines, witness_lines
from verify.pairs.seen import Seen
from verify.pairs.tie import Tie
from verify.result import Verdict, Witness

X = np.array([0.5], dtype=np.float32)
SEEN = Seen(X, np.array([0.25, 0.5]), np.array([0.25, 0.4375]))
STEP = Step(0.5, Verdict.VERIFIED, 1.5, 7)


def asked():
    here = Path(__file__)
    return Asked(here, here, 0.1, "0", None, None, None, True, None, None, None, False, None, None)


def test_a_table_per_output():
    spread = Spread(np.array([0.5, np.inf]), SEEN, (STEP,))
    assert list(spread_lines(spread))[1:] == ["0       0.25          0.5", "1       0.4375        inf"]
    assert list(seen_lines(spread)) == ["found   0.4375 (over the reals, exactly; 0.5 on onnxruntime) at [0.5]"]
    assert list(steps_lines("delta", spread.steps)) == ["  delta 0.5: verified in 1.50 s, 7 domains"]
    executed = Spread(np.array([0.5]), Seen(X, np.array([0.25])))
    assert list(seen_lines(executed)) == ["found   0.25 (on onnxruntime) at [0.5]"]
    nothing = Spread(np.array([0.5]), None)
    assert "no point" in next(iter(seen_lines(nothing))) and list(spread_lines(nothing))[1].split()[1] == "-"


def test_counterexamples_show_both_networks():
    both = pair(*toy_pair(0))
    lines = list(witness_lines(both, Witness(X, np.array([1.0, 2, 1, 2.5]), 0.1)))
    assert lines == ["x       [0.5]", "first   [1, 2]", "second  [1, 2.5]", "apart   0.5 at output 1"]
    raised = pair(*toy_pair(0), Tie((0,)))
    lines = list(witness_lines(raised, Witness(np.array([0.5, 0.25]), np.array([1.0, 2, 1, 2]), 0.1)))
    assert lines[1] == "rise    [0.25] in [0]"


def test_long_points_are_cut():
    assert shown(np.arange(100.0)).endswith("15, ... (100 numbers)]")


def test_documents_are_json():
    spread = Spread(np.array([0.5, np.inf]), SEEN, (STEP,))
    document = spread_document(asked(), pair(*toy_pair(0)), "delta 0.5", spread, 2.0)
    again = json.loads(json.dumps(document, allow_nan=False))
    assert again["bounds"] == [0.5, None] and again["upper"] is None and again["found"]["real"] == [0.25, 0.4375]
    assert again["coupled"] and again["steps"][0]["verdict"] == "verified"
