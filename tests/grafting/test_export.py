"""Exported files: the same outputs and bounds as in memory, nothing half-written, no grafted neuron left to do."""

from __future__ import annotations

import hashlib

import onnx
import pytest
import torch

import grafting.export as module
from grafting.export import export_grafted
from grafting.graft import graft
from grafting.plain import plain
from tests.grafting.test_graft import nothing, some
from tests.grafting.test_plain import wild
from tests.grafting.toys import SHAPE, Functional, conv, images, mlp
from training.export import ExportMismatch, load_model
from verify.onnx_import import load_network
from verify.onnx_import.simplify import simplify


@pytest.mark.parametrize("build", [mlp, conv, lambda: conv(batch_norm=False), Functional])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.1])
def test_the_file_is_the_model(build, share, tmp_path):
    model = build()
    changed = wild(model, some(model, share))
    found = export_grafted(changed, SHAPE, tmp_path / "net.onnx", images(30), 0.1, {"made by": "a test"})
    assert set(found.outputs) == {"clean", "random", "corners", "pgd"} and set(found.bounds) == {"ibp", "crown"}
    assert found.max_difference < 1e-4 and max(found.bounds.values()) < 1e-5
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()
    assert (found.lines == 0, found.lines == found.neurons) == (share == 0, share > 1)
    operators = {node.op_type for node in onnx.load(found.path).graph.node}
    assert operators <= {"Conv", "Gemm", "MatMul", "Relu", "Mul", "Add", "Flatten", "Reshape", "Constant",
                         "BatchNormalization"}
    assert share < 1 or "Relu" not in operators
    network = load_network(found.path)
    assert sum(map(network.graph.neurons, network.graph.nonlinear)) == found.neurons - found.lines


def test_a_file_can_be_loaded_grafted_and_exported_again(tmp_path):
    model, x = conv(), images(60)
    first = export_grafted(graft(model, SHAPE, some(model, 0.3), calibration=x), SHAPE, tmp_path / "a.onnx", x, 0.1)
    loaded = load_model(first.path)
    again = graft(loaded.module, SHAPE, some(loaded.module, 0.3, 1), calibration=x)
    second = export_grafted(again, SHAPE, tmp_path / "b.onnx", x, 0.1)
    assert second.sha256 != first.sha256 and second.neurons == first.neurons


@pytest.mark.parametrize("what", ["outputs", "bounds"])
def test_nothing_is_written_when_something_differs(what, tmp_path, monkeypatch):
    model = mlp()
    changed = wild(model, some(model))
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    other, graph = graft(model, SHAPE, nothing(model), "paper"), module._graph
    if what == "outputs":
        monkeypatch.setattr(module, "plain", lambda *_: other)
    else:
        monkeypatch.setattr(module, "_graph", lambda m, shape: graph(m if m is changed else other, shape))
    with pytest.raises(ExportMismatch, match="differ"):
        export_grafted(changed, SHAPE, path, images(20), 0.1)
    assert path.read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_looser_bounds_are_refused():
    model = mlp()
    whole = wild(model, some(model, 1.1))
    apart, merged = module._graph(whole, SHAPE), simplify(module._graph(plain(whole, SHAPE), SHAPE))
    module._require_no_looser(apart, merged, images(3), 0.1)
    with pytest.raises(ExportMismatch, match="looser"):
        module._require_no_looser(merged, apart, images(3), 0.1)


def test_wide_networks_get_intervals_for_their_hidden_layers(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FULL_CROWN", 5)
    model = mlp()
    found = export_grafted(wild(model, some(model)), SHAPE, tmp_path / "net.onnx", images(5), 0.1)
    assert set(found.bounds) == {"ibp", "crown-ibp"}
    assert torch.isfinite(torch.tensor(list(found.bounds.values()))).all()
