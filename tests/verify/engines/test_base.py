import torch

from tests.verify.engines.problems import query
from verify.bounds.root import UNWATCHED
from verify.budget import Budget
from verify.certificate.recorder import Recorder
from verify.engines.base import Settings, closed_disjuncts, from_margins, silent
from verify.progress import Progress
from verify.result import Reason, Verdict

MEMBERS = torch.tensor([[True, True, False], [False, False, True]])
NAN, INF = float("nan"), float("inf")


def test_the_best_row_of_each_disjunct():
    assert closed_disjuncts(torch.tensor([-1.0, 2.0, -3.0]), MEMBERS).tolist() == [2.0, -3.0]


def test_what_is_not_a_number_or_not_finite_never_counts():
    for bad in (NAN, INF):
        assert not bool((closed_disjuncts(torch.tensor([bad, -1.0, bad]), MEMBERS) > 0).any())
    assert closed_disjuncts(torch.tensor([NAN, 1.0, 2.0]), MEMBERS).tolist() == [1.0, 2.0]


def test_a_disjunct_without_rows_is_never_closed():
    assert not bool((closed_disjuncts(torch.ones(3), torch.zeros(1, 3, dtype=torch.bool)) > 0).any())
    assert not bool((closed_disjuncts(torch.ones(0), torch.zeros(2, 0, dtype=torch.bool)) > 0).any())


def test_margins_to_results():
    proved = from_margins(torch.tensor([0.5, 2.0]), "x", Budget())
    assert proved.verdict is Verdict.VERIFIED and proved.tree.smallest_margin == 0.5 and proved.stats.method == "x"
    for margins in ([0.5, 0.0], [0.5, -1.0], [NAN, 1.0], [-INF, 1.0]):
        result = from_margins(torch.tensor(margins), "x", Budget())
        assert result.verdict is Verdict.UNKNOWN and result.reason is Reason.INCOMPLETE
    nothing = from_margins(torch.zeros(0), "x", Budget())
    assert nothing.verdict is Verdict.VERIFIED and "nothing is unsafe" in nothing.tree.note


def test_settings_have_a_silent_observer():
    assert Settings().watch is silent and silent(Progress("x")) is None


def test_a_recorder_watches_the_root():
    q, recorder = query("abs", 0.1), Recorder()
    recorder.begin(0, q)
    assert Settings(recorder=recorder).root_trace is recorder.current and Settings().root_trace is UNWATCHED
