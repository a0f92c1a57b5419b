import pytest

from tests.verify.engines.problems import query
from verify.budget import Budget
from verify.engines.base import Settings
from verify.engines.crown import CrownVerifier
from verify.result import Verdict


@pytest.mark.parametrize(("above", "verdict"), [(0.001, Verdict.VERIFIED), (0.0, Verdict.UNKNOWN)])
def test_crown_is_exact_on_the_absolute_sum(above, verdict):
    """relu(x) + relu(-x) <= (x + 1)/2 + (1 - x)/2 = 1: the chords add up to the truth."""
    result = CrownVerifier(Settings()).verify(query("abs", above), Budget())
    assert result.verdict is verdict
    assert result.stats.best_bound == pytest.approx(above, abs=1e-9)
    assert result.stats.best_bound <= above
