from math import inf

from verify.budget import Budget


def test_no_limit_by_default():
    budget = Budget()
    assert budget.deadline == inf and budget.remaining == inf and not budget.expired


def test_spent_budget_is_expired_with_nothing_left():
    budget = Budget.seconds(0.0, memory_bytes=7)
    assert budget.expired and budget.remaining == 0.0 and budget.memory_bytes == 7 and budget.elapsed >= 0.0
    assert Budget.seconds(-5.0).remaining == 0.0


def test_seconds_counts_from_now():
    budget = Budget.seconds(1000.0)
    assert budget.deadline == budget.start + 1000.0 and 0.0 < budget.remaining <= 1000.0


def test_slice_never_exceeds_its_parent():
    parent = Budget.seconds(1000.0, memory_bytes=5)
    assert parent.slice(1e6).deadline == parent.deadline
    child = parent.slice(1.0)
    assert child.deadline < parent.deadline and child.memory_bytes == 5 and child.start == parent.start
    assert Budget().slice(1.0).deadline < inf
