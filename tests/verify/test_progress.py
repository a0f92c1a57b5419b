from dataclasses import FrozenInstanceError
from math import isnan

import pytest

from verify.progress import Progress


def test_progress_is_a_value_with_unknown_bound_by_default():
    progress = Progress("attack")
    assert (progress.open_domains, progress.closed_domains) == (0, 0) and isnan(progress.best_bound)
    with pytest.raises(FrozenInstanceError):
        progress.phase = "bab"
