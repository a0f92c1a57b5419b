"""Outcomes of small networks, consistent with each other and with brute force; interruptions lose nothing."""

import numpy as np
import onnx
import pytest
import torch

from tests.training.small_networks import images, network
from training.attacks import Attack
from training.certify import outer_ball
from training.evaluate import Options, evaluate
from training.subject import Subject
from verify.errors import InvalidInput, OutOfResources

ATTACKS = (Attack("pgd", 10), Attack("apgd-dlr", 10))


def labelled(model, count=24):
    """Images with the network's own answers, every sixth of them wrong."""
    x = images(count)
    y = Subject.load(model).scores(x).argmax(1)
    y[::6] = (y[::6] + 1) % 4
    return x, y


@pytest.fixture(scope="module")
def found():
    model = network(scale=2.0)
    x, y = labelled(model)
    return model, x, y, evaluate(model, x, y, Options(0.06, attacks=ATTACKS, timeout=10.0), name="net")


def test_outcomes_are_consistent(found):
    _, x, _, evaluation = found
    assert evaluation.count("clean") == 20
    assert len(evaluation.images) == len(x)
    statuses = {image.status for image in evaluation.images}
    assert {"misclassified", "verified"} <= statuses and statuses & {"attacked", "falsified"}
    for image in evaluation.images:
        assert (image.crown_margin is None) == (image.status == "misclassified")
        assert (image.seconds is not None) == (image.status in ("verified", "falsified", "undecided"))
        assert not image.crown or image.status == "verified"
    assert 0 < evaluation.count("crown") <= evaluation.count("verified")
    assert sum(layer.neurons for layer in evaluation.layers) == evaluation.relus == 18
    assert all(0 <= layer.unstable <= layer.neurons for layer in evaluation.layers)


def test_verified_images_stand_up_to_sampling(found):
    model, x, y, evaluation = found
    subject, box = Subject.load(model), outer_ball(x, 0.06)
    for image in evaluation.images:
        if image.status == "verified":
            points = box[image.index : image.index + 1].sample(1000, torch.Generator().manual_seed(0))
            scores = subject.graph.evaluate(points.reshape(-1, 1, 9)).flatten(1)
            assert bool((scores.argmax(1) == y[image.index]).all())


def test_without_a_time_limit_only_crown_decides():
    model = network()
    x, y = labelled(model)
    evaluation = evaluate(model, x, y, Options(0.05, attacks=ATTACKS, timeout=None), indices=range(100, 124))
    assert evaluation.images[0].index == 100
    assert evaluation.asked == () and evaluation.count("verified") == evaluation.count("crown") > 0


def test_an_interrupted_evaluation_goes_on(tmp_path):
    model = network(scale=2.0)
    x, y = labelled(model)
    options, journal = Options(0.06, attacks=ATTACKS), tmp_path / "journal.jsonl"

    def stop_at(count):
        def watch(phase, done, total):
            if phase == "verify" and done == count:
                raise KeyboardInterrupt
        return watch

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, x, y, options, journal=journal, watch=stop_at(3))
    lines = len(journal.read_text().splitlines())
    whole = evaluate(model, x, y, options, journal=journal)
    assert journal.read_text().splitlines()[lines:], "went on"
    before = journal.read_text()
    assert evaluate(model, x, y, options, journal=journal) == whole
    assert journal.read_text() == before, "everything was known"
    evaluate(model, x, y, Options(0.05, attacks=ATTACKS, timeout=None), journal=journal)
    assert journal.read_text() != before, "another radius is another question"


@pytest.mark.parametrize("error", [OutOfResources("too large"), RuntimeError("no such kernel")])
def test_a_verifier_that_fails_leaves_the_image_undecided_unless_crown_proved_it(monkeypatch, error):
    def fail(*_arguments, **_more):
        raise error

    monkeypatch.setattr("training.evaluate.solve", fail)
    model = network()
    x, y = labelled(model)
    evaluation = evaluate(model, x, y, Options(0.06, attacks=(Attack("pgd", 1),)))
    assert {image.status for image in evaluation.asked} == {"verified", "undecided"}
    for image in evaluation.asked:
        assert (image.status == "verified") == image.crown and str(error) in image.reason


def grafted(keep):
    """Relu(z * keep) + z * (1 - keep) / 2 in the place of the first of two ReLU layers, as plain ONNX."""
    model = onnx.load_model_from_string(network(scale=2.0))
    keep = np.asarray(keep, np.float32)
    nodes = list(model.graph.node)
    first = next(k for k, node in enumerate(nodes) if node.op_type == "Relu")
    z, y = nodes[first].input[0], nodes[first].output[0]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in (
        ("keep", keep), ("slope", (1 - keep) / 2)))
    nodes[first : first + 1] = [
        onnx.helper.make_node("Mul", [z, "keep"], ["masked"]), onnx.helper.make_node("Relu", ["masked"], ["kept"]),
        onnx.helper.make_node("Mul", [z, "slope"], ["line"]), onnx.helper.make_node("Add", ["kept", "line"], [y])]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


@pytest.mark.parametrize("kept", [0, 3, 10])
def test_grafted_neurons_count_as_neurons_and_are_stable(kept):
    model = grafted([1] * kept + [0] * (10 - kept))
    x, y = labelled(model)
    evaluation = evaluate(model, x, y, Options(0.1, attacks=(Attack("pgd", 1),), timeout=None))
    assert [layer.neurons for layer in evaluation.layers] == [10, 8] and evaluation.relus == 18
    assert evaluation.layers[0].unstable <= kept and (evaluation.layers[0].unstable > 0) == (kept > 0)
    assert evaluation.layers[1].unstable > 0


def test_crown_looks_at_the_first_images_only_where_told_to():
    x, y = labelled(network(), 12)
    every, some = (evaluate(network(), x, y, Options(0.1, attacks=(Attack("pgd", 1),), timeout=None, bounded=bounded))
                   for bounded in (None, 5))
    assert some.flags("crown") == (*every.flags("crown")[:5], *[False] * 7)
    assert some.flags("robust") == every.flags("robust")
    assert all(image.crown_margin is None for image in some.images[5:])


def test_no_images_are_no_trouble():
    x, y = labelled(network(), 6)
    evaluation = evaluate(network(), x[:0], y[:0], Options(0.1))
    assert evaluation.images == () and evaluation.count("clean") == 0


@pytest.mark.parametrize("wrong", [{"eps": -1.0}, {"eps": 0.1, "timeout": 0.0}, {"eps": 0.1, "intermediate": "lp"},
                                   {"eps": 0.1, "method": "nonsense"}, {"eps": 0.1, "dtype": "float16"},
                                   {"eps": 0.1, "bounded": -1}])
def test_impossible_options_are_refused(wrong):
    with pytest.raises(InvalidInput):
        Options(**wrong)
