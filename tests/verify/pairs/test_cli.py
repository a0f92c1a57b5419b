"""`verify diff` from end to end, in this process but for the supervised child."""

import json

import numpy as np
import pytest

from tests.soundness.nets import dense
from tests.verify.pairs.toys import exact_largest, layers, moved
from verify.errors import InvalidInput
from verify.pairs import cli

FIRST = layers(2)
SECOND = moved(FIRST, 2)
LARGEST = float(exact_largest(FIRST, SECOND))
AROUND = {"eps": 1.0, "center": "0"}


@pytest.fixture
def files(tmp_path):
    for name, whole in (("a", FIRST), ("b", SECOND)):
        (tmp_path / f"{name}.onnx").write_bytes(dense(whole))
    return tmp_path / "a.onnx", tmp_path / "b.onnx"


def run(files, capfd, **options):
    """(exit code, lines of standard output, standard error)."""
    code = cli.diff(*files, **options)
    out = capfd.readouterr()
    return code, out.out.splitlines(), out.err


def test_within_delta(files, capfd, tmp_path):
    target = tmp_path / "out.json"
    code, lines, err = run(files, capfd, delta=1.02 * LARGEST, json=target, **AROUND)
    assert (code, lines) == (0, ["unsat"]) and "coupled" in err and "holds" in err
    document = json.loads(target.read_text())
    assert document["answer"] == "unsat" and document["coupled"] and document["tree"]["leaves"] >= 1


def test_beyond_delta(files, capfd, tmp_path):
    target = tmp_path / "out.json"
    code, lines, err = run(files, capfd, delta=0.9 * LARGEST, json=target, merged=True, **AROUND)
    assert code == 1 and lines[0] == "sat" and lines[-1].startswith("apart ") and "side by side" in err
    witness = json.loads(target.read_text())["witness"]
    gap = np.abs(np.array(witness["first"]) - np.array(witness["second"])).max()
    assert 0.9 * LARGEST < gap <= 1.001 * LARGEST


def test_bisection(files, capfd, tmp_path):
    code, lines, _ = run(files, capfd, bisect=True, json=tmp_path / "out.json", ratio=1.02, timeout=3600.0, **AROUND)
    proved = float(lines[0].removeprefix("delta "))
    assert code == 0 and 0.999 * LARGEST <= proved <= 1.03 * LARGEST
    assert lines[1].split() == ["output", "found", "here", "proved"] and len(lines) == 5


def test_radius(files, capfd):
    code, lines, _ = run(files, capfd, bisect=True, delta=1.02 * LARGEST, **AROUND)
    assert code == 0 and lines == ["radius 1"]


def test_agreement_and_monotonicity(files, capfd, tmp_path):
    for name, shift in (("c", 0.125), ("d", -4.0)):
        (tmp_path / f"{name}.onnx").write_bytes(dense([(np.array([[1.0], [-1.0]]), np.array([shift, 0.0]))]))
    c, d = tmp_path / "c.onnx", tmp_path / "d.onnx"
    ball = {"eps": 0.25, "center": "1"}
    assert run((c, c), capfd, agree="max", **ball)[:2] == (0, ["unsat"])
    assert run((c, d), capfd, agree="max", **ball)[0] == 1
    assert run((c, c), capfd, rising="0", falling="1", delta=0.001, **ball)[:2] == (0, ["unsat"])
    code, lines, _ = run((c, c), capfd, rising="0", delta=0.001, **ball)
    assert code == 1 and any(line.startswith("rise ") for line in lines)


def test_boxes_and_centres_from_files(files, capfd, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((1, 1)))
    (tmp_path / "x.txt").write_text("0\n")
    for name in ("x.npy", "x.txt"):
        assert run(files, capfd, delta=1.02 * LARGEST, eps=1.0, center=str(tmp_path / name), clip="-1,1")[0] == 0
    spec = tmp_path / "p.vnnlib"
    spec.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)"
                    "(assert (<= X_0 1.0))(assert (>= X_0 -1.0))(assert (<= Y_0 0.0))")
    assert run(files, capfd, delta=1.02 * LARGEST, box=spec)[0] == 0


@pytest.mark.parametrize(("options", "message"), [
    ({}, "input set"), ({"eps": 1.0}, "go together"), ({**AROUND}, "what is asked"),
    ({**AROUND, "agree": "max", "delta": 1.0}, "question of its own"),
    ({**AROUND, "rising": "0", "bisect": True}, "not bisected"),
    ({**AROUND, "falling": "0", "delta": 1.0}, "--falling"),
    ({"eps": -1.0, "center": "0", "delta": 1.0}, "--eps takes"),
    ({**AROUND, "bisect": True, "timeout": 0.0}, "--timeout"),
    ({"box": "nowhere.vnnlib", "delta": 1.0}, "not found"), ({"box": __file__, "clip": "0,1", "delta": 1.0}, "--clip"),
    ({"box": __file__, "delta": 1.0, "bisect": True}, "largest radius"),
])
def test_what_does_not_go_together_is_refused(files, options, message):
    from pathlib import Path

    options = {name: Path(value) if name == "box" else value for name, value in options.items()}
    with pytest.raises(InvalidInput, match=message):
        cli.diff(*files, **options)


@pytest.mark.parametrize(("options", "message"), [
    ({"eps": 1.0, "center": "0,0", "delta": 1.0}, "--center has 2 numbers"), ({"eps": 1.0, "center": "a", "delta": 1.0},
                                                                             "numbers with commas"),
    ({**AROUND, "delta": -1.0}, "must not be negative"), ({**AROUND, "delta": 1.0, "rising": "x"}, "whole numbers"),
    ({**AROUND, "delta": 1.0, "clip": "1"}, "two numbers"), ({**AROUND, "delta": 1.0, "rising": "3"}, "coordinates"),
])
def test_numbers_that_do_not_fit_are_named(files, capfd, options, message):
    code, lines, err = run(files, capfd, **options)
    assert code == 2 and not lines and message in err


def test_networks_of_other_sizes_are_refused(files, capfd, tmp_path):
    (tmp_path / "w.onnx").write_bytes(dense(layers(0, inputs=2)))
    code, lines, err = run((files[0], tmp_path / "w.onnx"), capfd, delta=1.0, **AROUND)
    assert code == 2 and not lines and "1 inputs" in err and "2; a pair" in err
