"""Networks of a study: reproducible, controls that differ, rows that say what the file does."""

from __future__ import annotations

import torch

from benchmarks.companions.networks import controls, dense, measured
from tests.benchmarks.companions.setups import small


def test_dense_networks_depend_on_the_seed_alone(tmp_path):
    first, again = small(tmp_path / "a"), small(tmp_path / "b")
    data = first.load()
    assert torch.equal(dense(first, data)[-1].weight, dense(again, data)[-1].weight)
    other = small(tmp_path / "a", seed=1)
    assert data.digest == other.load().digest  # the images are the same for every seed
    assert not torch.equal(dense(first, data)[-1].weight, dense(other, data)[-1].weight)


def test_rows_count_the_test_images(tmp_path):
    setup = small(tmp_path)
    data = setup.load()
    row = measured(setup, data, dense(setup, data), "dense", complete=True, asked=1.0)
    assert (row["method"], row["seed"], row["asked"], row["images"], row["relus"]) == ("dense", 0, 1.0, 20, 24)
    assert row["clean"] == row["flags"]["clean"].count("1") / 20 >= row["pgd"]
    assert len(row["flags"]["crown"]) == 10 and row["crown"] == row["flags"]["crown"].count("1") / 10
    assert len(row["flags"]["verified"]) == 2 and row["difference"] < 1e-4


def test_every_control_is_another_network(tmp_path):
    setup = small(tmp_path)
    data = setup.load()
    found = {"dense": dense(setup, data), **controls(setup, data, longer=2)}
    assert list(found) == ["dense", "more epochs", "RS regulariser", "IBP training"]
    weights = [model[-1].weight for model in found.values()]
    assert all(not torch.equal(a, b) for k, a in enumerate(weights) for b in weights[:k])
