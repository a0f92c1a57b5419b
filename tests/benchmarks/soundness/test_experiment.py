"""The list of experiments: every module of the list has one, names are unique, sizes make sense."""

from benchmarks.soundness.experiment import MODULES, load


def test_all_experiments_load():
    found = load()
    assert len(found) == len(MODULES) == len({experiment.name for experiment in found})
    for experiment in found:
        assert experiment.claim and experiment.chunk >= 1
        assert experiment.full() >= 1 or experiment.missing()


def test_a_full_run_is_large_enough():
    full = {experiment.name: experiment.full() for experiment in load()}
    assert full["random networks"] >= 10_000
    assert sum(count for name, count in full.items() if name.startswith("enclosure")) >= 100_000
