"""What is read off a file, and what does not fit is refused by name."""

import pytest
import torch

from tests.training.small_networks import images, network
from training.subject import Subject
from verify.errors import InvalidInput, ShapeMismatch


def test_facts_of_a_file(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(network())
    subject = Subject.load(path)
    assert subject.name == "small" and len(subject.sha256) == 64
    assert subject.relus == 18 and subject.parameters == 9 * 10 + 10 + 10 * 8 + 8 + 8 * 4 + 4
    assert subject.shape == (9,) and subject.classes == 4
    assert subject.sha256 == Subject.load(network(), "again").sha256 != Subject.load(network(1)).sha256


def test_scores_are_those_of_the_graph():
    subject, x = Subject.load(network()), images()
    ours = subject.graph.evaluate(x.double().reshape(-1, 1, 9)).flatten(1)
    assert torch.allclose(subject.scores(x), ours, atol=1e-5)
    assert subject.scores(x[:0]).shape == (0, 4)


def test_errors(tmp_path):
    with pytest.raises(InvalidInput, match=r"network .*missing\.onnx"):
        Subject.load(tmp_path / "missing.onnx")
    subject = Subject.load(network(), "net")
    with pytest.raises(ShapeMismatch, match=r"net: takes inputs of shape \[9\], the images have shape \[1, 2, 2\]"):
        subject.check_fit(torch.zeros(1, 1, 2, 2), torch.tensor([0]))
    with pytest.raises(ShapeMismatch, match="net: tells 4 classes apart, the labels range from 0 to 7"):
        subject.check_fit(images(2), torch.tensor([0, 7]))
