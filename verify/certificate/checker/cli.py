"""`verify check`: reads three files, checks the proof, and says exactly what was proved.

The first line on standard output is `accepted`, `sampled` (only a part of the leaves was checked) or `rejected`; one
paragraph follows, or on standard error the reason. Nothing but a check of every leaf ends in `accepted`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import math
import os
import sys
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verify.certificate.checker.errors import Rejected, require
from verify.certificate.checker.stream import open_container

CODES = MappingProxyType({"accepted": 0, "rejected": 1, "unreadable": 2, "sampled": 3, "error": 70, "interrupted": 130})
EPILOG = "Exit code: 0 accepted, 1 rejected, 2 usage or unreadable file, 3 only sampled, 70 internal error."
MEANING = MappingProxyType({
    "real": "the network is a function over the exact real numbers. Not covered: the rounding of any execution",
    "float32": "every affine operator of the declared graph may be computed in float32 with any association, with or "
               "without FMA, rounding to nearest, underflow flushed or not, with 8 spare roundings; sigmoid and tanh "
               "within 2^-20. Not covered: TF32 or bfloat16, Winograd or FFT convolution, quantised kernels",
})
TEXT = (
    "{claim}: no input of the unsafe set exists (unsat), for the network with SHA-256 {network_sha256} and the "
    "property with SHA-256 {spec_sha256}. Semantics {semantics}: {meaning}. Cases: {cases}, disjuncts: {disjuncts}, "
    "trees: {trees}, leaves: {leaves} (checked: {checked}, deepest: {deepest}); {margin}; arithmetic {arithmetic}; "
    "{body_bytes} bytes of evidence by {tool}; {seconds:.2f} s."
)


def main(argv: Sequence[str]) -> int:
    """Runs `verify check argv`; returns the exit code."""
    # Read when numpy is loaded. The work is spread over the cores in larger pieces (`arithmetic.each`).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        options = _options(argv)
    except SystemExit as stop:  # argparse has printed help or the usage error
        return int(stop.code or 0)
    outcome, reason, document = _outcome(options)
    verdict = outcome if outcome in ("accepted", "rejected", "sampled") else "error"
    try:
        if options.json is not None:
            content = {"verdict": verdict, "reason": reason, **document}
            options.json.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if verdict != "error":
            text = f"{verdict}\n{_text(verdict, document)}" if document and not options.quiet else verdict
            print(text, flush=True)
    except OSError as error:
        outcome, reason = "unreadable", f"error: cannot write: {error}"
    if reason:
        print(reason, file=sys.stderr, flush=True)
    return CODES[outcome]


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("verify check", description="Checks a proof that a property holds.", epilog=EPILOG)
    parser.add_argument("network", type=Path, metavar="NET", help="network: .onnx or .onnx.gz")
    parser.add_argument("spec", type=Path, metavar="SPEC", help="property: .vnnlib or .vnnlib.gz")
    parser.add_argument("proof", type=Path, metavar="PROOF", help="the file that verify run --proof wrote")
    parser.add_argument("--arithmetic", choices=("float64", "dyadic"), default="float64",
                        help="float64 with rigorous error bounds (default), or exact dyadic numbers, slower")
    parser.add_argument("--sample", type=int, metavar="N", help="check N of the leaves only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the verdict and errors only")
    options = parser.parse_args(argv)
    if options.sample is not None and options.sample < 1:
        parser.error("--sample takes a positive number")
    return options


def _outcome(options: argparse.Namespace) -> tuple[str, str, dict[str, Any]]:
    """Key of `CODES`, reason and report; whatever goes wrong becomes an outcome that is not `accepted`."""
    try:
        if options.json is not None:
            options.json.unlink(missing_ok=True)  # what an earlier check wrote must not stay behind
        return "accepted" if options.sample is None else "sampled", "", _check(options)
    except Rejected as error:
        return "rejected", f"rejected: {' '.join(str(error).split())}", {}
    except (OSError, EOFError, zlib.error) as error:
        return "unreadable", f"error: cannot read: {error}", {}
    except KeyboardInterrupt:
        return "interrupted", "error: interrupted", {}
    except Exception as error:  # noqa: BLE001 -- the process boundary: a bug or lack of memory must not look like a verdict
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return "error", f"error: internal error, nothing was decided ({text})", {}


def _check(options: argparse.Namespace) -> dict[str, Any]:
    """What was proved. Raises `Rejected`, or what reading the files raises."""
    from verify.certificate.checker.check import check  # numpy: --help does not wait for it

    network, spec = _read(options.network), _read(options.spec)
    container = open_container(options.proof)
    header = container.header
    for what, data, expected in (("network", network, header.network_sha256), ("property", spec, header.spec_sha256)):
        found = hashlib.sha256(data).hexdigest()
        require(found == expected, f"the proof is about another {what}: one with SHA-256 {expected}, not {found}")
    show = sys.stderr.isatty() and not options.quiet
    report = check(network, spec, container, options.arithmetic, options.sample, lambda leaves: show and print(
        f"\r{leaves} leaves checked ", end="", file=sys.stderr, flush=True))
    require(not report.leaves or report.smallest_margin > 0, f"the smallest margin is {report.smallest_margin}")
    require(options.sample or report.checked == report.leaves, f"{report.checked} of {report.leaves} leaves checked")
    margin = report.smallest_margin if math.isfinite(report.smallest_margin) else None
    return {**asdict(report), **asdict(header), "arithmetic": options.arithmetic, "smallest_margin": margin}


def _read(path: Path) -> bytes:
    """The bytes of a file, decompressed where they are gzip."""
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def _text(verdict: str, report: dict[str, Any]) -> str:
    claim = "Proved" if verdict == "accepted" else "NOT proved, but consistent with the leaves that were checked"
    margin = report["smallest_margin"]
    margin = "every box is empty" if margin is None else f"smallest margin {margin:.3g}"
    return TEXT.format(**report | {"claim": claim, "margin": margin, "meaning": MEANING[report["semantics"]]})
