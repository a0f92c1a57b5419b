"""Where declared tensors lie, what their entries are called, and what their types ask for."""

import pytest

from verify.errors import UnsupportedSpec
from verify.interface import HIDDEN, INPUT, OUTPUT, Declaration, Interface, Tensor, subscript


def made(dtype="real", wiring=tuple(range(7))):
    f = Declaration("f", (Tensor("A", INPUT, dtype, (2, 2)), Tensor("B", INPUT, dtype, ()),
                          Tensor("H", HIDDEN, dtype, (2,), "h"), Tensor("Y", OUTPUT, dtype, (3,))))
    g = Declaration("g", (Tensor("U", INPUT, dtype, (2,)), Tensor("V", OUTPUT, dtype, ())), equal_to="f")
    return Interface((f, g), wiring)


def test_spans_hold_outputs_before_hidden_values():
    found = {name: tuple(span) for name, span in made().spans.items()}
    assert found == {"A": ("X", 0, 4), "B": ("X", 4, 5), "U": ("X", 5, 7), "Y": ("Y", 0, 3), "H": ("Y", 3, 5),
                     "V": ("Y", 5, 6)}


def test_entries_by_name():
    plain, shared = made(), made(wiring=(0, 1, 2, 3, 4, 2, 5))
    assert [plain.entry("X", k) for k in (0, 3, 4, 6)] == ["A[0,0]", "A[1,1]", "B", "U[1]"]
    assert [plain.entry("Y", k) for k in (2, 4, 5)] == ["Y[2]", "H[1]", "V"]
    assert shared.entry("X", 2) == "A[1,0]" and shared.entry("X", 5) == "U[1]"
    assert shared.shared and not plain.shared and not plain.plain
    assert subscript((2, 3), 5) == "[1,2]" and subscript((), 0) == ""


def test_types_ask_for_semantics():
    assert made().semantics == "real" and made("float32").semantics == "float32"
    for dtype in ("float64", "float16"):
        with pytest.raises(UnsupportedSpec, match=f"A has type {dtype}, whose arithmetic the analysis does not follow"):
            _ = made(dtype).semantics


def test_declarations():
    f, g = made().networks
    assert (f.model, g.model) == ("f", "f") and [t.name for t in f.of(OUTPUT, HIDDEN)] == ["Y", "H"]
    assert str(f.tensors[0]) == "input A real [2,2]" and f.tensors[0].size == 4 and f.tensors[1].size == 1
