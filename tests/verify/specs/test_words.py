"""Synonyms, against all sentences."""

import itertools

import numpy as np
import pytest
from torch import nn

from tests.verify.specs.models import check, classes, dense, label
from verify import specs
from verify.errors import InvalidInput, ShapeMismatch
from verify.pipeline import Problem
from verify.result import Verdict

WORDS = [["a", "the"], ["movie", "film", "picture"], ["works"]]


def embeddings(scale, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.standard_normal((1, 2)) + scale * rng.standard_normal((len(names), 2))).astype(np.float32)
            for names in WORDS]


@pytest.mark.parametrize("few", [100, 1])
@pytest.mark.parametrize("scale", [0.02, 0.5, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agree_with_all_sentences(few, scale, seed):
    sets = embeddings(scale, seed)
    sentences = np.stack([np.concatenate(choice) for choice in itertools.product(*sets)])
    net = dense(6, 8, 2, seed=seed)
    truth = label(net, sentences[0])
    unsafe = classes(net, sentences) != truth
    net.float()
    net.insert(0, nn.Flatten())
    question = specs.ask(net, specs.synonyms(sets, WORDS, few), specs.classified(truth))
    result = check(question, unsafe, timeout=4)
    if few == 100:
        assert result.verdict is (Verdict.FALSIFIED if unsafe.any() else Verdict.VERIFIED)
        assert len(question.spec.cases) == 6
    elif scale == 0.02 and not unsafe.any():
        assert result.verdict is Verdict.VERIFIED and "all mixtures of the 6 sentences" in result.detail
    if result.witness is not None:
        point = question.point(result.witness).reshape(-1)
        assert (np.abs(sentences - point).max(1) == 0).any(), "a witness is exactly a sentence"
        assert question.describe(result.witness).split()[2] == "works"


def test_only_sentences_count():
    sets = [np.array([[0.0], [1.0]]), np.array([[0.0], [1.0]])]
    net = dense(2, 1)
    question = specs.ask(nn.Sequential(nn.Flatten(), net),
                         specs.synonyms(sets, few=1), specs.within([5.0], [6.0]))
    replayer = Problem(question.network, question.spec).replayer
    assert replayer.check(np.array([1, 0, 0, 1])) is not None
    assert replayer.check(np.array([0.5, 0.5, 0, 1])) is None
    assert replayer.check(np.array([1, 1, 0, 1])) is None


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda: specs.synonyms([]), InvalidInput, "embeddings is empty"),
    (lambda: specs.synonyms([[[1.0]], []]), InvalidInput, "position 1 has no words"),
    (lambda: specs.synonyms([[[1.0]], [[1.0, 2.0]]]), ShapeMismatch, r"embeddings\[1\] has shape \[1, 2\], expected"),
    (lambda: specs.synonyms([[[1.0]]], [["a", "b"]]), ShapeMismatch, r"words has \[2\] choices, embeddings \[1\]"),
])
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make()
