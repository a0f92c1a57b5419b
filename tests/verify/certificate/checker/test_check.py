"""Whole proofs, byte by byte: what is accepted, every reason to reject, and that nothing proves what is false.

The network is y = relu(x1 + x2) + relu(x1 - x2) on [-1, 1]^2, whose values are all of [0, 2].
"""

import hashlib
import struct
from collections.abc import Sequence
from functools import cache
from io import BytesIO

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from verify.certificate.checker import check as module
from verify.certificate.checker.bounds import tightened
from verify.certificate.checker.check import Report, check
from verify.certificate.checker.cli import main
from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import open_container
from verify.certificate.emit.container import write_container

INPUT, RELU, REDUCE, LEMMAS, LEAF = b"\1", b"\2", b"\3", b"\4", b"\5"
PLAIN = LEAF + b"\0"
ONE = bytes.fromhex("803f")
BOTH = np.array([[1.0, 1.0], [1.0, -1.0]]), np.array([[1.0, 1.0]])
BOX = "(and (>= X_0 -1) (<= X_0 1) (>= X_1 -1) (<= X_1 1))"


@cache
def network(depth: int = 1, dtype: type = np.float32) -> bytes:
    """The network; behind it, for a larger depth, relu(y), relu(relu(y)), ..."""
    kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
    weights = [numpy_helper.from_array(w.astype(dtype), f"w{k}") for k, w in enumerate((BOTH[0].T, BOTH[1].T))]
    nodes = [helper.make_node("MatMul", ["x", "w0"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("MatMul", ["b", "w1"], ["y0"])]
    nodes += [helper.make_node("Relu", [f"y{k}"], [f"y{k + 1}"]) for k in range(depth - 1)]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", kind, [1, 2])],
                              [helper.make_tensor_value_info(f"y{depth - 1}", kind, [1, 1])], weights)
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    return model.SerializeToString()


def spec(condition: str, box: str = BOX) -> bytes:
    names = "".join(f"(declare-const {name} Real)" for name in ("X_0", "X_1", "Y_0"))
    return f"{names}(assert {box})(assert {condition})".encode()


LOW, HIGH = spec("(<= Y_0 -0.5)"), spec("(>= Y_0 2.5)")
EITHER = spec("(or (<= Y_0 -0.5) (>= Y_0 2.5))")


def tree(node: bytes, disjuncts: Sequence[int] = (0,)) -> bytes:
    return bytes([len(disjuncts), *disjuncts]) + node


def case(*trees: bytes, groups: Sequence[bytes] = ()) -> bytes:
    return bytes([1, len(groups)]) + b"".join(groups) + bytes([len(trees)]) + b"".join(trees)


def relu(neuron: int, above: bytes, below: bytes, layer: int = 0) -> bytes:
    return RELU + bytes([layer, neuron]) + above + below


def cut(index: int, at: float, left: bytes, right: bytes) -> bytes:
    return INPUT + bytes([index]) + struct.pack("<d", at) + left + right


def leaf(flags: int, *parts: bytes) -> bytes:
    return LEAF + bytes([flags]) + b"".join(parts)


def lemma(layer: int, *codes: int, alpha: bytes = b"") -> bytes:
    return bytes([layer, len(codes), *codes]) + alpha


SPLIT = relu(0, relu(1, PLAIN, PLAIN), PLAIN)


def run(body: bytes, text: bytes, leaves: int = 1, cases: int = 1, semantics: str = "real", net: bytes | None = None,
        arithmetic: str = "float64", sample: int | None = None, folder=None) -> Report:
    file, net = BytesIO(), network() if net is None else net
    header = {"claim": "unsat", "network_sha256": hashlib.sha256(net).hexdigest(), "semantics": semantics,
              "spec_sha256": hashlib.sha256(text).hexdigest(), "tool": "verify 1.0", "cases": cases, "leaves": leaves}
    write_container(file, header, [body])
    if folder is not None:
        for name, data in (("net", net), ("spec", text), ("proof", file.getvalue())):
            (folder / name).write_bytes(data)
    return check(net, text, open_container(file.getvalue()), arithmetic, sample)


@pytest.mark.parametrize("arithmetic", ["float64", "dyadic"])
@pytest.mark.parametrize("semantics", ["real", "float32"])
def test_accepted(arithmetic, semantics):
    room = 1e-5 if semantics == "float32" else 1e-12
    for body, text, leaves, margin in [
        (case(tree(PLAIN)), LOW, 1, 0.5),
        (case(tree(SPLIT)), HIGH, 3, 0.5),
        (case(tree(SPLIT, (1,)), tree(PLAIN, (0,))), EITHER, 4, 0.5),
        (case(tree(relu(0, REDUCE + relu(1, PLAIN, PLAIN), REDUCE + PLAIN))), HIGH, 3, 0.5),
        (case(tree(cut(0, 0.0, LEAF + b"\1", SPLIT))), HIGH, 4, 0.5),
        (case(tree(LEMMAS + lemma(0, 0, 3) + SPLIT)), HIGH, 3, 0.5),
        (case(tree(SPLIT), groups=[lemma(0, 0, 1, 2, 3)]), HIGH, 3, 0.5),
        # Own slopes, then the same ones again; intervals know that y >= 0.
        (case(tree(cut(1, 0.0, leaf(2, bytes([64, 64])), leaf(4, b"\0")))), spec("(<= Y_0 -0.75)"), 2, 0.75),
    ]:
        report = run(body, text, leaves, semantics=semantics, arithmetic=arithmetic)
        assert margin - room < report.smallest_margin <= margin and report.checked == report.leaves == leaves
    assert report.semantics == semantics and (report.cases, report.disjuncts, report.trees) == (1, 1, 1)


def test_multipliers_and_weights():
    # Where z1 = x1 + x2 >= 0 one unit of the split's multiplier shows it, where z1 <= 0 y is at most 2.
    text = spec("(and (<= (+ X_0 X_1) -0.25) (>= Y_0 2.5))")
    report = run(case(tree(relu(0, leaf(8, ONE), PLAIN))), text, 2)
    assert report.smallest_margin == pytest.approx(0.25, abs=1e-12)
    for other in (PLAIN, leaf(8, b"\0\0"), leaf(8, bytes.fromhex("0041"))):
        with pytest.raises(Rejected, match="not above 0"):
            run(case(tree(relu(0, other, PLAIN))), text, 2)
    rows = spec("(and (<= (+ X_0 X_1) -0.25) (>= (+ X_0 X_1) 0.25))")
    assert run(case(tree(leaf(16, ONE, ONE))), rows).smallest_margin == pytest.approx(0.5, abs=1e-12)
    for weights in (b"\0\0" + ONE, ONE + b"\0\0", b"\0\0\0\0"):
        with pytest.raises(Rejected, match="not above 0"):
            run(case(tree(leaf(16, weights))), rows)


def test_leaves_between_two_reductions_are_bounded():
    """The first leaf of a reduced network is not forgotten when the second is in a network of its own."""
    for first, leaves in ((relu(1, PLAIN, PLAIN), 5), (PLAIN, 4)):
        body = case(tree(relu(0, REDUCE + cut(0, 0.875, first, REDUCE + relu(1, PLAIN, PLAIN)), PLAIN)))
        if leaves == 5:
            assert run(body, HIGH, leaves).checked == 5
        else:  # only the first leaf misses: z1 + z2 / 2 + 1 may be 2.8125
            with pytest.raises(Rejected, match=r"depth 3 has the bound -0\.3125"):
                run(body, HIGH, leaves)


def test_empty_boxes_and_several_cases():
    empty = spec("(<= Y_0 5)", "(and (>= X_0 1) (<= X_0 0) (>= X_1 0) (<= X_1 1))")
    report = run(b"\0", empty, 0)
    assert report.leaves == report.checked == 0 and report.smallest_margin == float("inf")
    assert run(b"\0", empty, 0, sample=5).checked == 0
    with pytest.raises(Rejected, match="non-empty"):
        run(case(tree(PLAIN)), empty)
    with pytest.raises(Rejected, match="an empty box"):
        run(b"\0", LOW, 0)
    two = spec("(<= Y_0 -0.5)", "(or (and (>= X_0 -1) (<= X_0 0) (>= X_1 -1) (<= X_1 1)) "
                                "(and (>= X_0 0) (<= X_0 1) (>= X_1 -1) (<= X_1 1)))")
    assert run(2 * case(tree(PLAIN)), two, 2, 2).cases == 2


@pytest.mark.parametrize("reason, body, text, leaves", [
    ("not above 0", case(tree(PLAIN)), HIGH, 1),
    ("unknown node kind 6", case(tree(b"\6")), LOW, 1),
    ("unknown node kind 0", case(tree(b"\0")), LOW, 1),
    ("a split of input 2", case(tree(cut(2, 0.0, PLAIN, PLAIN))), LOW, 2),
    ("outside its interval", case(tree(cut(0, 1.0, PLAIN, PLAIN))), LOW, 2),
    ("outside its interval", case(tree(cut(0, -1.5, PLAIN, PLAIN))), LOW, 2),
    ("outside its interval", case(tree(cut(0, 0.0, cut(0, 0.5, PLAIN, PLAIN), PLAIN))), LOW, 3),
    ("finite", case(tree(cut(0, float("nan"), PLAIN, PLAIN))), LOW, 2),
    ("no unsplit unstable ReLU", case(tree(relu(2, PLAIN, PLAIN))), LOW, 2),
    ("no unsplit unstable ReLU", case(tree(relu(0, PLAIN, PLAIN, layer=1))), LOW, 2),
    ("no unsplit unstable ReLU", case(tree(relu(0, relu(0, PLAIN, PLAIN), PLAIN))), LOW, 3),
    ("no unsplit unstable ReLU", case(tree(relu(0, REDUCE + relu(0, PLAIN, PLAIN), PLAIN))), LOW, 3),
    ("no unsplit unstable ReLU", case(tree(cut(0, 0.5, PLAIN, cut(1, 0.25, REDUCE + relu(0, PLAIN, PLAIN), PLAIN)))),
     spec("(<= Y_0 -0.5)", "(and (>= X_0 -1) (<= X_0 1) (>= X_1 0) (<= X_1 1))"), 4),
    ("no tree for disjuncts", case(tree(PLAIN)), EITHER, 1),
    ("no tree for disjuncts", case(), LOW, 0),
    ("open are", case(tree(PLAIN), tree(PLAIN)), EITHER, 2),
    ("open are", case(tree(PLAIN, (0, 0))), EITHER, 1),
    ("open are", case(tree(PLAIN, (0, 2))), EITHER, 1),
    ("open are", case(tree(PLAIN, ())), EITHER, 1),
    ("3 disjuncts", case(tree(PLAIN, (0, 1, 1))), EITHER, 1),
    ("unknown leaf flags 32", case(tree(leaf(32))), LOW, 1),
    ("unknown leaf flags 6", case(tree(leaf(6))), LOW, 1),
    ("not sent", case(tree(leaf(4, b"\0"))), LOW, 1),
    ("not sent", case(tree(cut(0, 0.0, leaf(2, b"\0\0"), leaf(4, b"\1")))), LOW, 2),
    ("not sent", case(tree(cut(0, 0.0, leaf(2, b"\0\0"), REDUCE + leaf(4, b"\0")))), LOW, 2),
    ("not sent", case(tree(leaf(2, b"\0\0"), (0,)), tree(leaf(4, b"\0"), (1,))),
     spec("(or (<= Y_0 -1) (<= Y_0 -2))"), 2),
    ("negative or no number", case(tree(leaf(16, bytes.fromhex("80bf")))), LOW, 1),
    ("negative or no number", case(tree(leaf(16, bytes.fromhex("807f")))), LOW, 1),
    ("negative or no number", case(tree(leaf(16, bytes.fromhex("c07f")))), LOW, 1),
    ("negative or no number", case(tree(relu(0, leaf(8, bytes.fromhex("80bf")), PLAIN))), LOW, 2),
    ("body ends", case(tree(leaf(2, b"\0"))), LOW, 1),
    ("body ends", case(tree(relu(0, PLAIN, b""))), LOW, 1),
    ("left over", case(tree(PLAIN)) + b"\0", LOW, 1),
    ("header says 2 leaves", case(tree(PLAIN)), LOW, 2),
    ("no unstable neurons", case(tree(PLAIN), groups=[lemma(1, 0)]), LOW, 1),
    ("stable neuron", case(tree(PLAIN), groups=[lemma(0, 4)]), LOW, 1),
    ("5 lemmas", case(tree(PLAIN), groups=[lemma(0, 0, 1, 2, 3, 3)]), LOW, 1),
    ("lemmas must come before", case(tree(relu(0, LEMMAS + lemma(0, 0) + PLAIN, PLAIN))), LOW, 2),
    ("1 outputs; the network", case(tree(PLAIN)), LOW.replace(b"(declare-const X_1 Real)", b"")
     .replace(b"(>= X_1 -1) (<= X_1 1)", b""), 1),
])
def test_rejected(reason, body, text, leaves):
    with pytest.raises(Rejected, match=reason):
        run(body, text, leaves)


def test_other_rejections(monkeypatch):
    with pytest.raises(Rejected, match="2 cases"):
        run(case(tree(PLAIN)), LOW, cases=2)
    with pytest.raises(Rejected, match="float32 networks only"):
        run(case(tree(PLAIN)), LOW, semantics="float32", net=network(dtype=np.float64))
    def contradicting(net, position, *args):
        return tightened(net, position, net.layers[position].upper + 1, net.layers[position].upper)

    with monkeypatch.context() as patch, pytest.raises(Rejected, match="contradicts"):
        patch.setattr(module, "with_lemmas", contradicting)
        run(case(tree(PLAIN), groups=[lemma(0, 0)]), LOW)
    for margin in (0.0, -0.0, np.nan, -np.inf):
        with monkeypatch.context() as patch, pytest.raises(Rejected, match="not above 0"):
            patch.setattr(module, "margins", lambda *args, margin=margin: np.array([margin]))
            run(case(tree(PLAIN)), LOW)
    with monkeypatch.context() as patch, pytest.raises(Rejected, match="0 of 1 leaves were bounded"):
        patch.setattr(module.Checker, "_flush", lambda *args: None)
        run(case(tree(PLAIN)), LOW)
    monkeypatch.setattr(module, "DEEPEST", 1)
    with pytest.raises(Rejected, match="deeper than 1"):
        run(case(tree(SPLIT)), HIGH, 3)


def test_the_smallest_margins():
    """The minimum of y is exactly 0: what is 2^-50 below has a proof in exact numbers, what touches it has none."""
    near = spec("(<= Y_0 -0.00000000000000088817841970012523233890533447265625)")  # -2^-50
    assert run(case(tree(PLAIN)), near, arithmetic="dyadic").smallest_margin == pytest.approx(2.0**-50, rel=1e-9)
    for text, arithmetic in ((near, "float64"), (spec("(<= Y_0 0)"), "float64"), (spec("(<= Y_0 0)"), "dyadic")):
        with pytest.raises(Rejected, match="not above 0"):
            run(case(tree(PLAIN)), text, arithmetic=arithmetic)


def random_tree(rng: np.random.Generator, rows: list[int], depth: int, split: dict[int, bool], columns: int = 2
                ) -> tuple[bytes, int]:
    """A node of a random tree, mostly legal, and its leaves."""
    kind = rng.integers(5) if depth else 4
    if kind == 0:
        parts = [random_tree(rng, rows, depth - 1, split) for _ in range(2)]
        return cut(int(rng.integers(2)), float(rng.uniform(-1, 1)), parts[0][0], parts[1][0]), parts[0][1] + parts[1][1]
    if kind in (1, 2) and len(split) < 2:
        neuron = int(rng.choice([k for k in range(2) if k not in split]))
        parts = [random_tree(rng, rows, depth - 1, {**split, neuron: True}) for _ in range(2)]
        return relu(neuron, parts[0][0], parts[1][0]), parts[0][1] + parts[1][1]
    if kind == 3 and not split:
        node, count = random_tree(rng, rows, depth - 1, split)
        return (LEMMAS + lemma(0, *rng.choice(4, int(rng.integers(1, 5)), replace=False)) + node), count
    flags = int(rng.choice([0, 1, 2, 3, 8, 9, 10, 16, 17, 18, 24, 27]))
    parts = [rng.bytes(2)] if flags & 2 else []

    def numbers(count: int) -> bytes:
        values = (rng.exponential(1.0, count) * rng.choice([0.0, 1.0])).astype(np.float32)
        return (values.view(np.uint32) >> 16).astype("<u2").tobytes()

    parts += [numbers(len(split))] if flags & 8 else []
    parts += [numbers(count) for count in rows] if flags & 16 else []
    return leaf(flags, *parts), 1


@pytest.mark.parametrize("semantics", ["real", "float32"])
@pytest.mark.parametrize("arithmetic", ["float64", "dyadic"])
def test_no_random_proof_of_what_is_false_is_accepted(arithmetic, semantics):
    """Unsafe sets that the network touches in a point, or enters by 1e-16; what is true is proved sometimes."""
    false = [spec("(<= Y_0 0)"), spec("(>= Y_0 2)"), spec("(<= Y_0 1e-16)"), spec("(and (<= Y_0 X_0) (>= X_0 Y_0))"),
             spec("(and (>= Y_0 2) (<= X_1 0) (>= (+ X_0 X_1) 0))")]
    rng, accepted = np.random.default_rng(len(arithmetic)), 0
    for k in range(60 if arithmetic == "dyadic" else 160):
        true = k % 4 == 3
        text = LOW if true else false[k % len(false)]
        members = [1] if true or k % len(false) < 3 else [1] if k % len(false) == 3 else [2]
        node, leaves = random_tree(rng, members, k % 5, {})
        try:
            run(case(tree(node)), text, leaves, arithmetic=arithmetic, semantics=semantics)
        except Rejected:
            continue
        assert true
        accepted += 1
    assert accepted


def test_samples_read_everything_and_bound_some():
    body = case(tree(SPLIT))
    assert run(body, HIGH, 3, sample=2).checked == 2 and run(body, HIGH, 3, sample=9).checked == 3
    with pytest.raises(Rejected, match="left over"):
        run(body + b"\0", HIGH, 3, sample=1)


def test_through_the_command_line(tmp_path, capsys):
    run(case(tree(SPLIT)), HIGH, 3, folder=tmp_path)
    names = [str(tmp_path / name) for name in ("net", "spec", "proof")]
    assert main([*names, "-q"]) == 0 and capsys.readouterr().out == "accepted\n"
    for changed, data in (("net", network(2)), ("spec", HIGH + b"\n")):
        old = (tmp_path / changed).read_bytes()
        (tmp_path / changed).write_bytes(data)
        assert main([*names, "-q"]) == 1
        out, err = capsys.readouterr()
        assert out == "rejected\n" and "SHA-256" in err
        (tmp_path / changed).write_bytes(old)
    proof = bytearray((tmp_path / "proof").read_bytes())
    proof[-40] ^= 1
    (tmp_path / "proof").write_bytes(proof)
    assert main([*names, "-q"]) == 1
