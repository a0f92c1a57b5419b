"""The edge: what a result becomes for scripts. Exit codes, the one-line summary, and the JSON document.

Exit codes: 0 holds, 1 violated, 2 usage or bad input, 3 unknown, 4 timed out, 5 unsupported, 6 out of resources,
70 internal error.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import tempfile
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from verify import __version__
from verify.errors import InvalidInput
from verify.options import RunOptions

if TYPE_CHECKING:
    # The supervising process writes a document too, and must not pay for numpy.
    from verify.result import Result, Witness

SCHEMA = 2
_UNKNOWN = 3
_REASON_CODES = MappingProxyType({"TIMEOUT": 4, "UNSUPPORTED": 5, "MEMORY": 6})


MEANING = MappingProxyType({"real": "the network over the reals", "float32": "every float32 execution"})
"""What an answer is about, per semantics."""


def exit_code(result: Result) -> int:
    """The process exit code of a result; violated (1) is only ever returned together with a witness."""
    if result.tree is not None and result.verdict.name == "VERIFIED":
        return 0
    if result.witness is not None and result.verdict.name == "FALSIFIED":
        return 1
    return _REASON_CODES.get(result.reason.name, _UNKNOWN) if result.reason else _UNKNOWN


def summary(result: Result) -> str:
    """One line for people."""
    stats, tree = result.stats, result.tree
    how = f"{f' by {stats.method}' if stats.method else ''} in {stats.seconds:.2f} s"
    detail = f"; {result.detail}" if result.detail else ""
    if result.witness is not None:
        near = "" if not result.witness.outside else (
            f"; {result.witness.outside:.2g} outside the box, some of whose limits hold no number of the network's "
            "type: the real points of the box next to it are proved to be unsafe")
        surely = _surely(result.witness)
        found = f"the property is violated (semantics {result.semantics}): counterexample found{how}"
        return f"{found}, replayed on onnxruntime{near}{surely}{detail}"
    if tree is not None:
        leaves = "1 leaf" if tree.leaves == 1 else f"{tree.leaves} leaves"
        note = f"; {tree.note}" if tree.note else ""
        margin = f"smallest margin {tree.smallest_margin:.3g}, {leaves}{note}"
        proof = "" if result.proof is None else (
            f"; proof of {result.proof.leaves} leaves in {result.proof.path} ({result.proof.bytes:,} bytes)")
        return f"the property holds for {MEANING[result.semantics]}: proved{how} ({margin}){proof}{detail}"
    return f"undecided for {MEANING[result.semantics]}{how}: {result.reason.value}{detail}"


def document(options: RunOptions, verdict: str, result: Result | None = None, reason: str = "", detail: str = "",
             seconds: float = 0.0) -> dict[str, Any]:
    """The JSON document of one run. Without a `result` (the run was stopped from outside) only the frame is filled.

    Numbers that JSON cannot write (NaN, infinities) become null.
    """
    frame: dict[str, Any] = {
        "schema": SCHEMA, "tool": "verify", "version": __version__, "verdict": verdict, "reason": reason,
        "detail": detail, "semantics": options.semantics, "method": options.method, "seconds": seconds, "phases": {},
        "domains": 0, "best_bound": None, "tree": None, "proof": None, "witness": None,
        "network_sha256": _sha256(options.network), "spec_sha256": _sha256(options.spec),
        "options": {entry.name: _plain(getattr(options, entry.name)) for entry in dataclasses.fields(options)},
    }
    if result is None:
        return frame
    stats, tree, witness = result.stats, result.tree, result.witness
    return frame | {
        "reason": result.reason.value if result.reason else "", "detail": result.detail,
        "semantics": result.semantics, "method": stats.method or options.method, "seconds": _finite(stats.seconds),
        "phases": {name: _finite(value) for name, value in stats.phases.items()}, "domains": int(stats.domains),
        "best_bound": _finite(stats.best_bound),
        "tree": None if tree is None else
        {"leaves": int(tree.leaves), "smallest_margin": _finite(tree.smallest_margin), "note": tree.note},
        "proof": None if result.proof is None else {**dataclasses.asdict(result.proof),
                                                    "smallest_margin": _finite(result.proof.smallest_margin)},
        "witness": None if witness is None else _witness(witness),
    }


def _surely(witness: Witness) -> str:
    """The label of a counterexample with its numbers."""
    label = witness.robustness
    if label is None:
        return ""
    if not math.isfinite(label.rounding) or not math.isfinite(label.lower):
        return f"; {label.explanation}" if label.label == "unlabelled" else f"; {label.label}: {label.explanation}"
    return f"; {label.label}: violation {label.lower:.3g}, rounding can change it by at most {label.at_most}"


def _witness(witness: Witness) -> dict[str, Any]:
    """A counterexample in decimals and bit for bit: `input_hex` as C and Python write floats, `input_bits` the pattern
    of the network's own type, most significant byte first."""
    label, x = witness.robustness, witness.x.reshape(-1)
    bits, size = x.astype(x.dtype.newbyteorder(">")).tobytes().hex(), 2 * x.dtype.itemsize
    runs = (("onnxruntime", witness.y), ("onnxruntime_optimised", witness.optimised))
    return {
        "input": [_finite(v) for v in x], "input_hex": [float(v).hex() for v in x],
        "input_bits": [bits[k : k + size] for k in range(0, len(bits), size)], "type": str(x.dtype),
        "outside": _finite(witness.outside),
        "outputs": {name: None if y is None else [_finite(v) for v in y.reshape(-1)] for name, y in runs},
        "violation": {
            "onnxruntime": _finite(witness.violation),
            "real": None if label is None else [_finite(label.lower), _finite(label.upper)],
            "exact": None if label is None else label.exact,
            "rounding": None if label is None else _finite(label.rounding),
        },
        "label": None if label is None else label.label,
        "explanation": None if label is None else label.explanation,
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes the document in one step: a reader sees the whole file or none of it."""
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
            os.replace(name, path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidInput(f"cannot write {path}: {error.strerror}") from error


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
