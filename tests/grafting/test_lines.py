"""Lines survive a file; files that do not fit are refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grafting.graft import graft
from grafting.lines import load_lines, save_lines
from tests.grafting.test_graft import nothing, some
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from verify.errors import InvalidInput, ShapeMismatch


@pytest.mark.parametrize("build", [mlp, conv, Functional])
def test_there_and_back(build, tmp_path):
    model = build()
    changed = graft(model, SHAPE, some(model), calibration=images(50))
    save_lines(tmp_path / "selection.npz", changed, SHAPE)
    again = load_lines(tmp_path / "selection.npz", model, SHAPE)
    assert torch.equal(again(images(20)), changed(images(20)))
    assert {name.partition("/")[0] for name in np.load(tmp_path / "selection.npz").files} == {
        "mask", "slope", "intercept"}
    save_lines(tmp_path / "none.npz", model, SHAPE)
    assert torch.equal(load_lines(tmp_path / "none.npz", model, SHAPE)(images(5)), model(images(5)))


def test_frozen():
    base = mlp()
    changed = graft(base, SHAPE, some(base), "zero")
    assert not any(p.requires_grad for name, p in changed.named_parameters() if "slope" in name)


def test_refused(tmp_path):
    path, model = tmp_path / "selection.npz", mlp()
    with pytest.raises(InvalidInput, match="holds no selection"):
        load_lines(path, model, SHAPE)
    path.write_bytes(b"something else")
    with pytest.raises(InvalidInput, match="holds no selection"):
        load_lines(path, model, SHAPE)
    save_lines(path, graft(conv(), SHAPE, nothing(conv())), SHAPE)
    with pytest.raises(InvalidInput, match="unknown"):
        load_lines(path, model, SHAPE)
    np.savez(path, **{"mask/2": np.zeros(3, dtype=bool), "mask/4": np.zeros(10, dtype=bool)})
    with pytest.raises(ShapeMismatch, match="site '2'"):
        load_lines(path, model, SHAPE)
    np.savez(path, **{"mask/2": np.zeros(12, dtype=bool), "mask/4": np.zeros(10, dtype=bool)})
    with pytest.raises(InvalidInput, match="no slopes"):
        load_lines(path, model, SHAPE)
