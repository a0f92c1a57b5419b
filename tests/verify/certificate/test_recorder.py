"""A recording is a complete tree per disjunct, and its evidence proves the leaves again."""

from tests.verify.engines.problems import problem
from verify.certificate.recorder import Recorder
from verify.pipeline import solve


def test_small_problems_leave_a_complete_record():
    recorder = Recorder()
    assert solve(problem("abs", 0.1), recorder=recorder).tree is not None
    assert recorder.recording(1) is not None
