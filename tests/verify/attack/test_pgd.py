import pytest
import torch

from tests.bab.test_input_split import constraint, query_of
from tests.verify.bounds.networks import ALL, boxes, low_points
from verify.attack.pgd import PgdOptions, pgd

FEW = PgdOptions(restarts=24, steps=40)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def query(name, disjuncts, which=1, seed=1):
    graph = ALL[name](seed)
    return query_of(graph, boxes(graph, seed)[which : which + 1], disjuncts)


def rows(q, x):
    return torch.where(q.members, q.graph.evaluate(x).unsqueeze(1), -torch.inf).amax(2).amin(1)


@pytest.mark.parametrize("name", ["mlp", "residual", "maximum", "mixed"])
def test_finds_what_is_a_little_unsafe_and_only_that(name):
    q = query(name, [[constraint([(0, 1)], 0)]])
    floor = float(low_points(q.graph, q.interval(), torch.eye(1), 5000, 30).min())
    possible = query(name, [[constraint([(0, 1)], -floor - 0.02)]])
    found = pgd(possible, possible.interval(), FEW, seeded())
    assert len(found)
    assert bool((rows(possible, found) <= 0).all())
    assert bool(possible.interval().contains(found).all())
    impossible = query(name, [[constraint([(0, 1)], -floor + 0.2)]])
    assert len(pgd(impossible, impossible.interval(), FEW, seeded())) == 0


def test_a_conjunction_needs_every_row():
    q = query("mlp", [[constraint([(0, 1)], 0)]], which=2)
    values = q.graph.evaluate(q.interval().sample(500)).flatten()
    both = query("mlp", [[constraint([(0, 1)], -float(values.median())),
                          constraint([(0, -1)], float(values.quantile(0.45)))]], which=2)
    found = pgd(both, both.interval(), FEW, seeded())
    assert len(found) and bool((both.graph.evaluate(found) <= 0).all())


def test_the_same_seed_gives_the_same_points():
    q = query("mlp", [[constraint([(0, 1)], -1)], [constraint([(1, 1)], -1)]])
    first, second = (pgd(q, q.interval(), FEW, seeded(3)) for _ in range(2))
    assert torch.equal(first, second)


def test_given_starts_and_a_spent_clock():
    q = query("mlp", [[constraint([(0, 1)], 1000)]])
    starts = q.interval().sample(3)
    before = starts.clone()
    assert len(pgd(q, q.interval(), FEW, seeded(), expired=lambda: True, starts=starts)) == 0
    assert torch.equal(starts, before)


def test_a_box_of_width_0():
    q = query("mlp", [[constraint([(0, 1)], -1000)]], which=3)
    found = pgd(q, q.interval(), FEW, seeded())
    assert torch.equal(found, q.interval().lower.expand_as(found)) and len(found)


def test_a_property_without_rows_is_unsafe_everywhere():
    q = query("mlp", [[]])
    found = pgd(q, q.interval(), PgdOptions(4, 3), seeded())
    assert len(found) and bool(q.interval().contains(found).all())


def test_a_property_without_disjuncts_has_no_candidates():
    q = query("mlp", [])
    assert len(pgd(q, q.interval(), PgdOptions(4, 3), seeded())) == 0


def test_a_network_that_ignores_its_input():
    value = float(ALL["constant"](1).evaluate(torch.zeros(1, 1, 3, dtype=torch.float64)).flatten()[0])
    unsafe = query("constant", [[constraint([(0, 1)], -value - 1)]])
    assert len(pgd(unsafe, unsafe.interval(), PgdOptions(4, 3), seeded()))
    safe = query("constant", [[constraint([(0, 1)], -value + 1)]])
    assert len(pgd(safe, safe.interval(), PgdOptions(4, 3), seeded())) == 0
