"""Questions: models of every kind, errors by name, what `verify.verify` takes, points and notes."""

import numpy as np
import pytest
import torch

import verify
from tests.verify.specs.models import convolution, dense
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.onnx_import.module import from_module
from verify.result import Verdict

NET = dense(2, 6, 2)
X = [0.1, 0.2]
TRUTH = int(NET(torch.tensor([X])).argmax())


@pytest.mark.parametrize("region", [specs.linf_ball(X, 0.05), specs.l1_ball(X, 0.05), specs.l2_ball(X, 0.05),
                                    specs.affine(X, [[1.0, 1.0]], [(-0.05, 0.05)])])
def test_the_pair_is_a_problem_of_its_own(region):
    question = verify.specs.ask(NET, region, specs.classified(TRUTH))
    assert verify.verify(question.model, question.spec, timeout=10).verdict is Verdict.VERIFIED
    assert question.solve(timeout=10, semantics="real").verdict is Verdict.VERIFIED


def test_models(tmp_path):
    data = from_module(NET, input_shape=(1, 2)).onnx
    path = tmp_path / "net.onnx"
    path.write_bytes(data)
    for model in (NET, data, path, str(path), from_module(NET, input_shape=(1, 2))):
        assert specs.ask(model, specs.linf_ball(X, 0.01), specs.classified(TRUTH)).model
    image = torch.rand(6, 6)
    example = torch.zeros(1, 1, 6, 6)
    question = specs.ask(convolution(), specs.linf_ball(image, 0), specs.classified(0), example_input=example)
    assert question.original.input_shape == (1, 1, 6, 6)


def test_counterexamples():
    question = specs.ask(NET, specs.l2_ball([X], 3), specs.classified(TRUTH))
    result = question.solve(timeout=10)
    assert result.verdict is Verdict.FALSIFIED
    point = question.point(result.witness)
    assert point.shape == (1, 2) and ((point.astype(float) - X) ** 2).sum() <= 9
    assert int(NET(torch.from_numpy(point)).argmax()) != TRUTH
    assert question.describe(result.witness) == np.array2string(result.witness.x, separator=", ")


def test_a_bound_method_alone():
    question = specs.ask(NET, specs.linf_ball(X, 1e-4), specs.classified(TRUTH))
    assert question.solve(method="crown").verdict is Verdict.VERIFIED


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.ask(from_module(NET, input_shape=(1, 2)), specs.l2_ball([0.0] * 3, 1), specs.classified(0)),
     ShapeMismatch, r"l2_ball is about 3 inputs \(shape \[3\]\); Sequential has 2 \(input 'input', shape \[1, 2\]\)"),
    (lambda: specs.ask(NET, specs.l2_ball(X, 1), specs.classified(2)), InvalidInput, "label 2 is out of range"),
    (lambda: specs.ask(3, specs.l2_ball(X, 1), specs.classified(0)), InvalidInput, "a model is a path, bytes or a "),
    (lambda: specs.ask(b"x", specs.l2_ball(X, 1), specs.classified(0), example_input=torch.zeros(1, 2)), InvalidInput,
     "example_input belongs to modules"),
    (lambda: specs.ask(NET, specs.l2_ball(X, 1), specs.classified(0)).solve(timeout=0), InvalidInput,
     "timeout must be a positive number"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
