"""Assignments as text and as files, read back by the letter of the standard."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from tests.verify.vnnlib.v2.models import absolute
from tests.verify.vnnlib.v2.texts import box, network, query
from verify.certificate.assignment import assignment_text, counterexample_text, write_assignments, write_counterexample
from verify.errors import InvalidInput
from verify.onnx_import import from_bytes
from verify.onnx_import.bind import bound
from verify.result import Witness
from verify.vnnlib import parse_spec


def pair(dtypes=("real", "real")):
    """Two networks of which the second has the first input of the first."""
    text = query("(assert (== X[0,0] U[0,0]))", network(dtype=dtypes[0]) + network("g", "U", "V", dtype=dtypes[1]),
                 box() + box("U"))
    spec = parse_spec(text)
    net = bound({"f": from_bytes(absolute()), "g": from_bytes(absolute())}, spec)
    x = np.array([0.1, -1e-8, 0.5], np.float32)
    y = np.array([0.1, 0.1, 0.1, 3.4e38], np.float32)
    return spec, net, Witness(x, y, 0.0)


def test_text():
    spec, net, witness = pair()
    assert counterexample_text(spec, net, witness) == assignment_text(spec.interface, net, witness) == (
        "X real [1,2]\n0.1\n-0.00000001\nY real [1,2]\n0.1\n0.1\n"
        "U real [1,2]\n0.1\n0.5\nV real [1,2]\n0.1\n340000000000000000000000000000000000000.0\n")


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-45, -3.4028235e38, 2.0**-126, 1.0, -0.0])
def test_digits_give_the_same_float_back(value):
    spec, net, witness = pair()
    x = np.array([value, 0.0, 0.0], np.float32)
    line = assignment_text(spec.interface, net, Witness(x, witness.y, 0.0)).splitlines()[1]
    assert np.float32(float(line)) == x[0] and "e" not in line and "." in line


def test_vnncomp_form_for_properties_without_names(tmp_path):
    spec = parse_spec("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))")
    witness = Witness(np.zeros(1, np.float32), np.ones(1, np.float32), 0.0)
    assert counterexample_text(spec, None, witness) == "((X_0 0)\n (Y_0 1))\n"
    write_counterexample(tmp_path / "w.txt", spec, None, witness)
    assert (tmp_path / "w.txt").read_text() == "((X_0 0)\n (Y_0 1))\n"


def test_files(tmp_path):
    spec, net, witness = pair(("float32", "float32"))
    write_assignments(tmp_path / "new" / "out", spec, net, witness)
    found = {}
    for path in (tmp_path / "new" / "out").iterdir():
        proto = TensorProto.FromString(path.read_bytes())
        assert proto.name == path.stem and proto.data_type == onnx.TensorProto.FLOAT
        found[path.stem] = numpy_helper.to_array(proto)
    assert sorted(found) == ["U", "V", "X", "Y"]
    assert np.array_equal(found["U"], np.array([[0.1, 0.5]], np.float32))


def test_files_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    spec, net, witness = pair()
    with pytest.raises(InvalidInput, match="cannot write the assignments"):
        write_assignments(tmp_path / "file" / "out", spec, net, witness)
