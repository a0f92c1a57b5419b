"""Files: reading, and the real properties of the shared benchmark set where that is present."""

import gzip
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from verify.errors import InvalidInput
from verify.vnnlib import parse_spec, read_spec

BENCH = Path(__file__).parents[4] / "shared" / "bench"
TEXT = "(declare-const X_0 Real)(declare-const Y_0 Real)\r\n(assert (<= X_0 1))(assert (>= X_0 0))(assert (<= Y_0 0))"


def test_plain_and_gzipped_files_by_content(tmp_path):
    for name, data in (("a.vnnlib", TEXT.encode()), ("b.vnnlib.gz", gzip.compress(TEXT.encode())),
                       ("c.vnnlib", gzip.compress(TEXT.encode())), ("d.vnnlib", b"\xef\xbb\xbf" + TEXT.encode())):
        path = tmp_path / name
        path.write_bytes(data)
        spec = read_spec(path)
        assert (spec.inputs, spec.outputs, len(spec.cases), spec.source) == (1, 1, 1, str(path))


def test_unreadable_files(tmp_path):
    with pytest.raises(InvalidInput, match=r"gone\.vnnlib: cannot read the property: No such file"):
        read_spec(tmp_path / "gone.vnnlib")
    with pytest.raises(InvalidInput, match="cannot read"):
        read_spec(tmp_path)
    path = tmp_path / "bad.vnnlib"
    path.write_bytes(b"\x08\x12\xff\xfe onnx")
    with pytest.raises(InvalidInput, match="not a VNN-LIB text"):
        read_spec(path)
    whole = gzip.compress(TEXT.encode() * 50)
    for damaged in (whole[:-12], whole[:12] + b"\xff" * 20, whole[:2]):
        path.write_bytes(damaged)
        with pytest.raises(InvalidInput, match="damaged gzip"):
            read_spec(path)


def test_empty_text():
    with pytest.raises(InvalidInput, match="<text>: declares no inputs"):
        parse_spec("")



def nested_asserts(text):
    """Independent reader of the competition's sub-language: nested lists."""
    stack = [[]]
    for line in text.splitlines():
        for word in line.split(";")[0].replace("(", " ( ").replace(")", " ) ").split():
            if word == "(":
                stack.append([])
            elif word == ")":
                done = stack.pop()
                stack[-1].append(done)
            else:
                stack[-1].append(word)
    return [item[1] for item in stack[0] if item[0] == "assert"]


def holds(e, x, y):
    if e[0] in ("and", "or"):
        return (all if e[0] == "and" else any)(holds(part, x, y) for part in e[1:])
    left, right = ((x if w[0] == "X" else y)[int(w[2:])] if w[0] in "XY" else Fraction(w) for w in e[1:])
    return left <= right if e[0] == "<=" else left >= right


def points_near(spec, rng):
    """Points of a random case: inside, or with one input moved across its limit; outputs around the constants."""
    box = rng.choice(spec.cases).box
    noise = np.array([rng.random() for _ in range(spec.inputs)])
    x = np.clip(box.lower + noise * (box.upper - box.lower), box.inner_lower, box.inner_upper)
    if rng.random() < 0.25:
        k = rng.randrange(spec.inputs)
        x[k] = rng.choice([np.nextafter(box.inner_upper[k], np.inf), np.nextafter(box.inner_lower[k], -np.inf)])
    return x, np.array([rng.choice([0.0, rng.gauss(0, 0.3), rng.gauss(0, 300)]) for _ in range(spec.outputs)])


@pytest.mark.skipif(not BENCH.is_dir(), reason="the shared benchmark properties (../shared/bench) are not here")
def test_real_properties_mean_what_they_say():
    rng = random.Random(0)
    seen = {True: 0, False: 0}
    for directory in sorted(BENCH.glob("*/vnnlib")):
        files = sorted(directory.iterdir())
        for path in rng.sample(files, min(4, len(files))):
            spec = read_spec(path)
            asserts = nested_asserts(gzip.decompress(path.read_bytes()).decode())
            assert all(case.box.empty is None for case in spec.cases), path
            for _ in range(5):
                x, y = points_near(spec, rng)
                exact = [[Fraction(float(v)) for v in values] for values in (x, y)]
                expected = all(holds(e, *exact) for e in asserts)
                assert spec.unsafe(x, y) == expected, path
                seen[expected] += 1
    assert min(seen.values()) >= 30
