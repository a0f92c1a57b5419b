import pytest

from tests.verify.engines.problems import query
from verify.budget import Budget
from verify.engines.base import Settings
from verify.engines.ibp import IbpVerifier
from verify.result import Verdict


@pytest.mark.parametrize(("above", "verdict"), [(2.001, Verdict.VERIFIED), (1.999, Verdict.UNKNOWN)])
def test_interval_arithmetic_sees_4_on_the_absolute_sum(above, verdict):
    """Each of the four ReLUs reaches 1 alone: the bound is 4, two above the truth."""
    result = IbpVerifier(Settings()).verify(query("abs", above), Budget())
    assert result.verdict is verdict
    assert result.stats.best_bound == pytest.approx(above - 2, abs=1e-9)
