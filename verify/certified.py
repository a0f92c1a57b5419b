"""Decides a property and writes the proof of an `unsat`: `unsat` with a proof asked for means that its file is there.

A property that the search closed but for which no proof could be written in time is `unknown`: whoever asks for a proof
does not want to believe. `sat` needs none, its witness is one.
"""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass, replace
from pathlib import Path

from verify.budget import Budget
from verify.certificate.proof import write_proof
from verify.certificate.recorder import Recorder
from verify.errors import InvalidInput, NoProof
from verify.pipeline import Problem, solve
from verify.progress import Observer, Progress
from verify.result import ProofFile, Reason, Result, Verdict

SEARCH_SHARE = 0.8
"""The share of a time limit that the search may use; the rest is for writing the proof of what it has closed."""


@dataclass(frozen=True)
class Sources:
    """The bytes that a proof is about, decompressed, and where it goes."""

    network: bytes
    spec: bytes
    proof: Path

    @classmethod
    def of(cls, network: str | Path | bytes, spec: str | Path, proof: str | Path) -> Sources:
        """Reads the files. Raises `InvalidInput`."""
        proof = Path(proof)
        if not proof.parent.is_dir() or proof.is_dir():
            raise InvalidInput(f"a proof cannot be written to {proof}: an existing folder and a file name are needed")
        return cls(network if isinstance(network, bytes) else _content(Path(network)), _content(Path(spec)), proof)


def _content(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (OSError, EOFError, gzip.zlib.error) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error


def _provable(problem: Problem) -> bool:
    """Whether the checker reads such a property and such a network."""
    return problem.spec.interface is None and len(problem.network.inputs) == len(problem.network.outputs) == 1


def solve_certified(problem: Problem, sources: Sources, method: str = "portfolio", budget: Budget | None = None,
                    device: str = "auto", dtype: str = "auto", seed: int = 0, on_progress: Observer | None = None
                    ) -> Result:
    """`pipeline.solve`, and a proof file with every `verified`."""
    budget = budget or Budget()
    recorder = Recorder() if _provable(problem) else None
    result = solve(problem, method, budget.slice(SEARCH_SHARE * budget.remaining), device, dtype, seed, on_progress,
                   recorder)
    if result.verdict is not Verdict.VERIFIED:
        return result
    started = time.monotonic()
    recording = None if recorder is None else recorder.recording(len(problem.spec.cases))

    def watch(leaves: int) -> None:
        if on_progress is not None:
            on_progress(Progress("writing the proof", 0, leaves))

    try:
        if recorder is None:
            raise NoProof("no proof: its format covers VNN-LIB 1.0 properties of one network with one input and one "
                          "output")
        if recording is None:
            raise NoProof(f"no proof: method {method!r} leaves no evidence that could be checked; portfolio does")
        watch(0)
        written = write_proof(sources.proof, sources.network, sources.spec, problem.spec, recording, problem.semantics,
                              budget, watch)
    except NoProof as error:
        reason = Reason.TIMEOUT if budget.expired else Reason.PROOF
        return replace(Result.unknown(reason, str(error)), stats=result.stats, semantics=result.semantics)
    seconds = time.monotonic() - started
    stats = replace(result.stats, seconds=budget.elapsed, phases={**result.stats.phases, "proof": seconds})
    proof = ProofFile(str(sources.proof), written.bytes, written.trees, written.leaves, written.smallest_margin)
    return replace(result, proof=proof, stats=stats)
