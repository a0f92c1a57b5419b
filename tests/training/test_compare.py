"""Pairs, common times and rows from evaluations written by hand; one real comparison; errors before any work."""

import math

import numpy as np
import pytest

from tests.training.evaluations import by_hand, made
from tests.training.small_networks import images, network
from training.attacks import Attack
from training.compare import CONTROLS, Entry, compare, network_file, parse_controls
from training.data import from_arrays
from training.evaluate import Options
from training.subject import Subject
from verify.errors import InvalidInput, ShapeMismatch

QUICK = Options(0.05, attacks=(Attack("pgd", 5),), timeout=5.0)


def small_data(count=12):
    """Images with the answers of network 0, one of them wrong; four classes."""
    x = images(count)
    y = Subject.load(network()).scores(x).argmax(1)
    y[0] = (y[0] + 1) % 4
    return from_arrays(x.numpy(), np.arange(count) % 4, x.numpy(), y.numpy(), validation=0.0, classes=4)


def test_pairs_by_hand():
    comparison = by_hand()
    pairing = comparison.paired(comparison.entries[1])
    assert (pairing.wins, pairing.losses) == (3, 1)
    assert pairing.p == pytest.approx(2 * (1 + 4) / 2**4)
    clean = comparison.paired(comparison.entries[1], "clean")
    assert (clean.wins, clean.losses, clean.p) == (1, 0, 1.0)


def test_times_are_compared_on_common_images():
    comparison = by_hand()
    assert comparison.common_seconds(comparison.entries[1]) == (1.0, 1.0, 3)
    nothing = Entry("c", "after", "c", made(("misclassified",) * 5))
    there, here, count = comparison.common_seconds(nothing)
    assert math.isnan(there) and math.isnan(here) and count == 0


def test_rows_by_hand():
    comparison = by_hand()
    row = comparison.row(comparison.entries[1])
    assert row["verified"] == 3 / 5 and row["verified_of_robust"] == 3 / 4 and row["falsified"] == 1 / 5
    assert row["verified_wins"] == 3 and row["unstable"] == 6.5
    assert row["domains"] == pytest.approx((0 + 10 + 20 + 30) / 4)
    assert row["par2_seconds"] == pytest.approx((4.0 + 1 + 1 + 1) / 4)
    assert comparison.row(comparison.entries[2]) == {"name": "rs", "role": "control", "file": "", "images": 5,
                                                     "sha256": "not measured"}


def test_a_real_comparison(tmp_path):
    files = []
    for folder, model in (("one", network(0)), ("two", network(1, scale=0.5))):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "model.onnx")
        files[-1].write_bytes(model)
    seen = []
    found = compare(tmp_path / "one", files[1:], {"rs": files[1], "mine": files[0]}, small_data(), QUICK,
                    watch=lambda *what: seen.append(what[:2]))
    assert [(entry.name, entry.role) for entry in found.entries] == [
        ("one/model", "before"), ("two/model", "after"), ("rs", "control"), ("mine", "control"),
        ("more-epochs", "control"), ("random-mask", "control"), ("ibp", "control")]
    assert {entry.name for entry in found.entries} >= set(CONTROLS)
    assert found.indices == tuple(range(12))
    assert found.before.evaluation.count("clean") == 11
    same = found.paired(found.entries[3])
    assert (same.wins, same.losses) == (0, 0)
    assert found.entries[1].evaluation.flags("robust") == found.entries[2].evaluation.flags("robust")
    assert ("one/model", "verify") in seen and ("two/model", "CROWN") in seen


def test_names_differ_whatever_the_files(tmp_path):
    path = tmp_path / "rs.onnx"
    path.write_bytes(network())
    found = compare(path, [path], {}, small_data(), Options(0.05, attacks=(Attack("pgd", 1),), timeout=None))
    names = [entry.name for entry in found.entries]
    assert len(set(names)) == len(names)


def test_controls_are_parsed():
    assert {name: str(path) for name, path in parse_controls(["rs=a=b.onnx", "ibp=c"]).items()} == {
        "rs": "a=b.onnx", "ibp": "c"}
    for wrong in (["rs"], ["=x"], ["rs="], ["r s=x"]):
        with pytest.raises(InvalidInput, match="takes NAME=FILE with a name such as more-epochs"):
            parse_controls(wrong)
    with pytest.raises(InvalidInput, match="--control rs is given twice"):
        parse_controls(["rs=a", "rs=b"])


def test_errors_come_before_any_work(tmp_path):
    good, other = tmp_path / "good.onnx", tmp_path / "other.onnx"
    good.write_bytes(network())
    other.write_bytes(b"no network")

    def never(*_):
        raise AssertionError("work has begun")

    data = small_data()
    with pytest.raises(InvalidInput, match="network file not found"):
        compare(good, [tmp_path / "missing.onnx"], {}, data, QUICK, watch=never)
    with pytest.raises(InvalidInput, match=r"other\.onnx: not an ONNX model"):
        compare(good, [], {"rs": other}, data, QUICK, watch=never)
    with pytest.raises(InvalidInput, match=r"holds 2 \.onnx files; name one file"):
        network_file(tmp_path)
    digits = from_arrays(np.zeros((5, 8, 8)), np.arange(5) % 4)
    with pytest.raises(ShapeMismatch, match=r"good: takes inputs of shape \[9\], the images have shape \[1, 8, 8\]"):
        compare(good, [], {}, digits, QUICK, watch=never)
    three = from_arrays(images(6).numpy(), np.arange(6) % 3)
    with pytest.raises(ShapeMismatch, match="good: tells 4 classes apart, arrays has 3"):
        compare(good, [], {}, three, QUICK, watch=never)
