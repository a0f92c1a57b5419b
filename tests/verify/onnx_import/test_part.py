"""Where inputs and outputs lie in the flat values of a graph."""

from __future__ import annotations

import numpy as np

from verify.onnx_import.part import Part, Port, feeds, joined, joint_shape, single_entries, slices

A, B, C = Port("a", (1, 2)), Port("b", (), double=True), Port("c", (2, 2))


def test_ports_lie_one_behind_the_other():
    assert slices((A, B, C)) == (slice(0, 2), slice(2, 3), slice(3, 7))
    assert joint_shape((A,)) == (1, 2) and joint_shape((A, B, C)) == (7,) and B.size == 1


def test_each_part_is_fed_its_slice_in_the_types_of_its_model():
    parts = (Part("f", b"", (A, B), (C,)), Part("g", b"", (C,), (A,)))
    first, second = feeds(parts, np.arange(7.0))
    assert first["a"].tolist() == [[0.0, 1.0]] and first["a"].dtype == np.float32
    assert first["b"].tolist() == 2.0 and first["b"].dtype == np.float64
    assert second["c"].tolist() == [[3.0, 4.0], [5.0, 6.0]] and list(second) == ["c"]
    assert parts[0].input_size == 3 and parts[0].output_size == 4


def test_a_single_input_keeps_its_shape():
    (fed,) = feeds((Part("", b"", (C,), (A,)),), np.arange(4.0).reshape(2, 2))
    assert fed["c"].tolist() == [[0.0, 1.0], [2.0, 3.0]]


def test_outputs_are_joined_as_numbers():
    assert joined([np.array([[True, False]])]).tolist() == [[1.0, 0.0]]
    assert joined([np.array([[1, 2]]), np.array(3.0)]).tolist() == [1.0, 2.0, 3.0]


def test_models_may_share_entries_of_the_input():
    parts = (Part("f", b"", (A, B), (C,)), Part("g", b"", (A,), (A,)))
    wiring = (0, 1, 2, 1, 3)
    first, second = feeds(parts, np.array([1.0, 2.0, 3.0, 4.0]), wiring)
    assert first["a"].tolist() == [[1.0, 2.0]] and first["b"] == 3.0 and second["a"].tolist() == [[2.0, 4.0]]
    assert single_entries(parts).tolist() == [True, True, False, True, True]
    assert single_entries(parts, wiring).tolist() == [True, True, False, True]
    assert single_entries(parts, (0, 1, 1, 0, 1)).tolist() == [True, True], "an entry that any float32 input reads"
