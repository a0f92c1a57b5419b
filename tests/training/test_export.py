from __future__ import annotations

import hashlib
import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from tests.training.toy import conv, mlp, patterns
from training import export
from training.export import (
    ExportMismatch,
    commit,
    export_onnx,
    load_model,
    provenance,
    read_manifest,
    save_weights,
    versions,
    write_manifest,
)
from training.models import build
from verify.errors import InvalidInput
from verify.onnx_import import load_network

SHAPE = (1, 4, 4)


def trained_statistics(model: nn.Module) -> nn.Module:
    model.train()(patterns().x_train)
    return model


class Grafted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(16, 6), nn.Linear(6, 4)
        self.register_buffer("keep", torch.tensor([1.0, 0, 0, 1, 0, 1]))
        self.slope = nn.Parameter(torch.rand(6))

    def forward(self, x):
        z = self.first(x.flatten(1))
        return self.last(torch.relu(z * self.keep) + z * ((1 - self.keep) * self.slope) + 0.1)


@pytest.mark.parametrize("make", [mlp, conv, Grafted, lambda: build("resnet-2b", SHAPE, 4, [0.3], [0.2])])
def test_the_file_computes_the_same(tmp_path, make):
    model, data = trained_statistics(make()), patterns()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    done = export_onnx(model, SHAPE, tmp_path / "deep" / "model.onnx", points=data.x_test[:5], metadata={"seed": 3})
    assert done.sha256 == hashlib.sha256(done.path.read_bytes()).hexdigest() and done.max_difference < 1e-4
    network = onnx.load(done.path)
    assert {p.key: p.value for p in network.metadata_props} == {"seed": "3"}
    assert network.opset_import[0].version == 17 and [p.name for p in done.path.parent.iterdir()] == ["model.onnx"]
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["output"], {"input": data.x_test[:1].numpy()})
    assert model.training and np.allclose(found, model.eval()(data.x_test[:1]).detach().numpy(), atol=1e-4)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert load_network(done.path).graph.input.shape == (1, *SHAPE)


def test_equal_models_give_equal_files(tmp_path):
    hashes = {export_onnx(mlp(), SHAPE, tmp_path / f"{k}.onnx").sha256 for k in range(2)}
    assert len(hashes) == 1


class Drifting(nn.Module):
    """Computes something else every time it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.calls = nn.Linear(16, 4), 0

    def forward(self, x):
        self.calls += 1
        return self.fc(x.flatten(1)) + float(self.calls)


def test_a_file_that_differs_never_appears(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ExportMismatch, match=r"differ by .*; nothing was written"):
        export_onnx(Drifting(), SHAPE, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="points have shape"):
        export_onnx(mlp(), SHAPE, tmp_path / "m.onnx", points=torch.zeros(2, 16))
    with pytest.raises(InvalidInput, match="float32 or float64"):
        export_onnx(mlp().half(), SHAPE, tmp_path / "m.onnx")

    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(InvalidInput, match="cannot be written as ONNX"):
        export_onnx(Odd(), SHAPE, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_manifests(tmp_path):
    done = export_onnx(mlp(), SHAPE, tmp_path / "model.onnx")
    content = provenance(done, seed=7, data=patterns().digest)
    write_manifest(tmp_path, content)
    assert read_manifest(tmp_path) == read_manifest(tmp_path / "manifest.json") == json.loads(json.dumps(content))
    assert content["sha256"] == done.sha256 and content["seed"] == 7 and set(versions()) <= set(content["versions"])
    for text, message in (("{", "cannot read"), ("[]", "names no sha256"), ("{}", "names no sha256")):
        (tmp_path / "manifest.json").write_text(text)
        with pytest.raises(InvalidInput, match=message):
            read_manifest(tmp_path)
    with pytest.raises(InvalidInput, match="cannot read the manifest"):
        read_manifest(tmp_path / "nothing.json")


def test_the_commit_is_of_a_checkout_or_none(tmp_path, monkeypatch):
    found = commit()
    assert found is None or len(found.removesuffix("+changes")) == 40
    monkeypatch.setattr(export, "__file__", str(tmp_path / "training" / "export.py"))
    assert commit() is None
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert commit() is None  # no git


def saved(folder) -> nn.Module:
    arguments = {"arch": "mlp-1x5", "input_shape": SHAPE, "classes": 4, "mean": (0.2,), "std": (0.3,), "seed": 1}
    model = build(**arguments)
    write_manifest(folder, provenance(export_onnx(model, SHAPE, folder / "model.onnx"), seed=1))
    save_weights(folder / "weights.pt", model, arguments)
    return model


def test_runs_are_loaded(tmp_path):
    tmp_path.joinpath("run").mkdir()
    run = tmp_path / "run"
    model, x = saved(run), patterns().x_test[:3]
    found = load_model(run)
    assert torch.equal(found.module(x), model(x)) and found.input_shape == SHAPE and found.classes == 4
    assert found.sha256 == found.manifest["sha256"] and not found.module.training
    (run / "weights.pt").unlink()
    for source in (run, run / "model.onnx"):
        again = load_model(source)
        assert torch.allclose(again.module(x), model(x), atol=1e-5) and again.sha256 == found.sha256
        assert again.input_shape == SHAPE and (again.manifest is None) == (source != run)


def test_broken_runs_are_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"is not a finished run: there is no model.onnx"):
        load_model(tmp_path)
    saved(tmp_path)
    (tmp_path / "weights.pt").write_bytes(b"nonsense")
    with pytest.raises(InvalidInput, match="does not hold the weights of this run"):
        load_model(tmp_path)
    (tmp_path / "model.onnx").write_bytes((tmp_path / "model.onnx").read_bytes() + b"\x00")
    with pytest.raises(InvalidInput, match="is not the file that its manifest names"):
        load_model(tmp_path)


def test_modules_need_their_shape():
    with pytest.raises(InvalidInput, match="needs its input_shape"):
        load_model(mlp())
    found = load_model(mlp(), SHAPE)
    assert found.classes == 4 and found.sha256 is None
    with pytest.raises(InvalidInput, match="does not take images of shape"):
        load_model(mlp(), (1, 5, 5))
    with pytest.raises(InvalidInput, match=r"has shape \[1, 1, 4, 4\]"):
        load_model(nn.ReLU(), SHAPE)
