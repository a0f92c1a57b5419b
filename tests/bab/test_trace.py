import torch

from bab.domains import SubproblemBatch
from bab.trace import NullTrace


def test_the_null_trace_returns_nothing():
    batch = SubproblemBatch(torch.zeros(1), torch.zeros(1, dtype=torch.int64), {})
    assert NullTrace().roots(batch) is None
    assert NullTrace().split(batch, batch) is None
    assert NullTrace().closed(batch, torch.ones(1)) is None
