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
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType

from verify.certificate.checker.errors import Rejected
from verify.certificate.checker.stream import Header, open_container

ACCEPTED, REJECTED, UNREADABLE, SAMPLED, INTERNAL = 0, 1, 2, 3, 70
EPILOG = "Exit code: 0 accepted, 1 rejected, 2 usage or unreadable file, 3 only sampled, 70 internal error."
MEANING = MappingProxyType({
    "real": "the network is read as a function over the exact real numbers, with exactly the weights of the file. Not "
            "covered: the rounding of any floating-point execution",
    "float32": "every affine operator of the declared graph may be computed in float32 with any association, with or "
               "without FMA, rounding to nearest, underflow flushed or not, with 8 spare roundings per entry; relu, "
               "max and padding are exact, sigmoid and tanh within 2^-20. Not covered: TF32 or bfloat16 accumulation, "
               "Winograd or FFT convolution, quantised kernels",
})


@dataclass(frozen=True)
class Answer:
    """`line` and `text` are for standard output, `reason` is for standard error, `document` for the JSON file."""

    code: int
    line: str = ""
    text: str = ""
    reason: str = ""
    document: dict = field(default_factory=dict)


def main(argv: Sequence[str]) -> int:
    """Runs `verify check argv`; returns the exit code."""
    # Read when numpy is loaded. The work is spread over the cores in larger pieces (`arithmetic.each`).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or the usage error
        return int(stop.code or 0)
    try:
        answer = _answer(options)
        if options.json is not None:
            document = {"verdict": answer.line or "error", "reason": answer.reason, **answer.document}
            options.json.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        if answer.line:
            print(answer.line if options.quiet or not answer.text else f"{answer.line}\n{answer.text}", flush=True)
    except OSError as error:
        answer = Answer(UNREADABLE, reason=f"error: cannot write: {error}")
    if answer.reason:
        print(answer.reason, file=sys.stderr, flush=True)
    return answer.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("verify check", description="Checks a proof that a property holds.", epilog=EPILOG)
    parser.add_argument("network", type=Path, metavar="NET", help="network: .onnx or .onnx.gz")
    parser.add_argument("spec", type=Path, metavar="SPEC", help="property: .vnnlib or .vnnlib.gz")
    parser.add_argument("proof", type=Path, metavar="PROOF", help="the file that verify run --proof wrote")
    parser.add_argument("--arithmetic", choices=("float64", "dyadic"), default="float64",
                        help="float64 with rigorous error bounds (default), or exact dyadic numbers, slower")
    parser.add_argument("--sample", type=_positive, metavar="N", help="check N of the leaves only")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result here as well")
    parser.add_argument("-q", "--quiet", action="store_true", help="print the verdict and errors only")
    return parser


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return int(text)


def _answer(options: argparse.Namespace) -> Answer:
    """Reads and checks; whatever goes wrong becomes an answer that is not `accepted`."""
    try:
        if options.json is not None:
            options.json.unlink(missing_ok=True)  # what an earlier check wrote must not stay behind
        return _check(options)
    except Rejected as error:
        return Answer(REJECTED, "rejected", reason=f"rejected: {' '.join(str(error).split())}")
    except (OSError, EOFError, zlib.error) as error:
        return Answer(UNREADABLE, reason=f"error: cannot read: {error}")
    except KeyboardInterrupt:
        return Answer(130, reason="error: interrupted")
    except Exception as error:  # noqa: BLE001 -- the process boundary: a bug or lack of memory must not look like a verdict
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Answer(INTERNAL, reason=f"error: internal error, nothing was decided ({text})")


def _check(options: argparse.Namespace) -> Answer:
    from verify.certificate.checker.check import check  # numpy: --help does not wait for it

    network, spec = _read(options.network), _read(options.spec)
    container = open_container(options.proof)
    header = container.header
    for what, data, expected in (("network", network, header.network_sha256), ("property", spec, header.spec_sha256)):
        if (found := hashlib.sha256(data).hexdigest()) != expected:
            raise Rejected(f"the proof is about another {what}: its SHA-256 is {expected}, that of the file is {found}")
    progress = _progress if sys.stderr.isatty() and not options.quiet else lambda leaves: None
    report = check(network, spec, container, options.arithmetic, options.sample, progress)
    if report.leaves and not report.smallest_margin > 0:
        raise Rejected(f"the smallest margin is {report.smallest_margin}")
    if options.sample is None and report.checked != report.leaves:
        raise Rejected(f"{report.checked} of {report.leaves} leaves were checked")
    code, line = (ACCEPTED, "accepted") if options.sample is None else (SAMPLED, "sampled")
    document = {**asdict(header), **asdict(report), "arithmetic": options.arithmetic}
    document["smallest_margin"] = report.smallest_margin if math.isfinite(report.smallest_margin) else None
    return Answer(code, line, _paragraph(header, report, options.arithmetic, line), document=document)


def _read(path: Path) -> bytes:
    """The bytes of a file, decompressed where they are gzip."""
    data = path.read_bytes()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data


def _progress(leaves: int) -> None:
    print(f"\r{leaves} leaves checked ", end="", file=sys.stderr, flush=True)


def _paragraph(header: Header, report, arithmetic: str, line: str) -> str:
    claim = "Proved" if line == "accepted" else "NOT proved, but consistent with the leaves that were checked"
    margin = f"smallest margin {report.smallest_margin:.3g}" if report.leaves else "every box is empty"
    return (
        f"{claim}: no input of the unsafe set exists (unsat), for the network with SHA-256 {header.network_sha256} and "
        f"the property with SHA-256 {header.spec_sha256}. Semantics {header.semantics}: {MEANING[header.semantics]}. "
        f"Cases: {report.cases}, disjuncts: {report.disjuncts}, trees: {report.trees}, leaves: {report.leaves} "
        f"(checked: {report.checked}, deepest: {report.deepest}); {margin}; arithmetic {arithmetic}; "
        f"{report.body_bytes} bytes of evidence by {header.tool}; {report.seconds:.2f} s."
    )
