"""One instance measured: a fresh `verify run`, what it said, and the row that is kept of it."""

from __future__ import annotations

import dataclasses
import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.instances import Instance
from benchmarks.machine import Machine
from benchmarks.process import VERIFY, Finished, run_process
from benchmarks.rows import DECIDED, SCHEMA, Row

GRACE = 10.0  # seconds after its limit at which a process that still runs is ended from outside
# Unknown: incomplete, unsupported by the method, out of memory. A crash says `unknown`, too, but ends with 70.
_EXITS_OF = MappingProxyType({"unsat": (0,), "sat": (1,), "unknown": (3, 5, 6), "timed-out": (4,)})


@dataclass(frozen=True)
class Setting:
    """What all rows of a run share: the measured commit, the machine, more options of `verify run`."""

    commit: str
    machine: Machine
    options: tuple[str, ...] = ()

    @property
    def run(self) -> tuple[str, ...]:
        """Equal to `Row.run` of the rows made under it."""
        return self.commit, shlex.join(self.options), *map(str, dataclasses.astuple(self.machine))


def run_instance(instance: Instance, limit: float, base: Path, setting: Setting,
                 command: Sequence[str] = VERIFY) -> Row:
    """One fresh process on one instance, with `limit` in seconds; its files go to a folder that is gone afterwards.

    `base` is the folder of the instance's paths, `command` what stands for `verify`.
    """
    with tempfile.TemporaryDirectory(prefix="verify-bench-") as folder:
        result, witness = Path(folder, "result.json"), Path(folder, "witness.txt")
        arguments = ("run", str(base / instance.onnx), str(base / instance.vnnlib), "--timeout", repr(limit),
                     "--json", str(result), "--witness", str(witness), *setting.options)
        done = run_process((*command, *arguments), limit + GRACE)
        document = _document(result)
        has_witness = witness.is_file() and witness.stat().st_size > 0
    return _row(instance, limit, setting, done, document, verdict_of(done, document, has_witness))


def verdict_of(done: Finished, document: dict[str, Any], has_witness: bool) -> tuple[str, str]:
    """Verdict and reason of one process, from its standard output and its JSON `document`.

    sat and unsat only when the first line of standard output, the exit code and the document agree, and sat only with
    a witness file; unknown and timed-out only with their exit codes. Anything else is an error with its reason.
    """
    said = done.stdout.partition("\n")[0].strip()
    if done.killed:
        return "error", f"still running {GRACE:g} s after its limit, ended from outside"
    if said not in _EXITS_OF:
        return "error", done.last_error_line or f"no verdict on standard output, exit code {done.exit_code}"
    if done.exit_code not in _EXITS_OF[said]:
        return "error", f"said {said} with exit code {done.exit_code}: {done.last_error_line}"
    if said not in DECIDED:
        return said, ": ".join(filter(None, (document.get("reason"), document.get("detail")))) or done.last_error_line
    if document.get("verdict") != said:
        return "error", f"said {said}, but its JSON says {document.get('verdict', 'nothing')}"
    if said == "sat" and not has_witness:
        return "error", "said sat, but wrote no witness"
    return said, document.get("detail") or ""


def _document(path: Path) -> dict[str, Any]:
    """The JSON that the process wrote, empty if it wrote none that can be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _row(instance: Instance, limit: float, setting: Setting, done: Finished, document: dict[str, Any],
         verdict: tuple[str, str]) -> Row:
    phases = document.get("phases") or {}
    return Row(
        schema=SCHEMA, commit=setting.commit, **dataclasses.asdict(setting.machine),
        options=shlex.join(setting.options), set=instance.set, onnx=instance.onnx, vnnlib=instance.vnnlib,
        expected=instance.expected, limit_s=limit, verdict=verdict[0], reason=verdict[1], wall_s=round(done.wall_s, 3),
        load_s=_rounded(phases.get("load")), attack_s=_rounded(phases.get("attack")),
        root_bounds_s=_rounded(phases.get("root bounds")), search_s=_rounded(phases.get("search")),
        domains=document.get("domains"), best_bound=document.get("best_bound"), peak_mib=round(done.peak_mib, 1),
        exit_code=done.exit_code)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
