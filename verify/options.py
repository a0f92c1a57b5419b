"""The options of `verify run`: one frozen value, checked when it is built.

Every field carries its range, its unit and the reason it exists; the help texts of the command line are made of them.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from verify.errors import InvalidInput

DTYPES = ("auto", "float32", "float64")
SEMANTICS = ("real", "float32")
"""What a network means: its function over exact reals, or every float32 execution of the operators in its file."""
CHOICES = ("auto", *SEMANTICS)
_UNITS = MappingProxyType({"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40})
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:iB|B)?", re.IGNORECASE)


def _option(default: Any, allowed: str, reason: str, unit: str = "") -> Any:
    return field(default=default, metadata={"range": allowed, "unit": unit, "reason": reason})


@dataclass(frozen=True)
class RunOptions:
    """What one run is asked to do. Raises `InvalidInput` naming the option and what it accepts."""

    network: Path
    spec: Path
    timeout: float | None = _option(None, "> 0", "stop with `timed-out` this long after the start", "s")
    device: str = _option("auto", "auto, cpu, cuda or cuda:N", "where bounds are computed")
    dtype: str = _option("auto", "auto, float32 or float64", "precision in which bounds are computed")
    seed: int = _option(0, ">= 0", "random starts of the attack; equal seeds give equal runs")
    threads: int | None = _option(None, ">= 1", "processor threads (default: one per core)")
    method: str = _option("portfolio", "see `verify methods`", "engine that decides")
    witness: Path | None = _option(None, "a file", "write the counterexample here (VNN-COMP text form)")
    json: Path | None = _option(None, "a file", "write the whole result here")
    memory_limit: int | None = _option(None, "such as 512M or 8G", "end with `unknown` above this resident memory")

    proof: Path | None = _option(None, "a file", "write the proof of an `unsat` here; without one there is no `unsat`")
    semantics: str = _option("auto", "auto, real or float32", "what is proved: the network over exact real numbers, or "
                             "every float32 execution of it; auto: float32 where a VNN-LIB 2.0 property declares it, "
                             "else real")

    def __post_init__(self) -> None:
        if self.timeout is not None and not (math.isfinite(self.timeout) and self.timeout > 0):
            raise InvalidInput(f"--timeout takes a positive number of seconds, got {self.timeout}")
        if not _DEVICE.fullmatch(self.device):
            raise InvalidInput(f"--device takes auto, cpu, cuda or cuda:N, got {self.device!r}")
        if self.dtype not in DTYPES:
            raise InvalidInput(f"--dtype takes {', '.join(DTYPES)}, got {self.dtype!r}")
        if self.semantics not in CHOICES:
            raise InvalidInput(f"--semantics takes {', '.join(CHOICES)}, got {self.semantics!r}")
        if not 0 <= self.seed < 1 << 63:
            raise InvalidInput(f"--seed takes a number from 0 to 2^63 - 1, got {self.seed}")
        if self.threads is not None and not 1 <= self.threads <= 4096:
            raise InvalidInput(f"--threads takes a number from 1 to 4096, got {self.threads}")
        for what, path in (("network", self.network), ("property", self.spec)):
            require_file(what, path)
        self._check_output("--witness", self.witness)
        self._check_output("--json", self.json)
        self._check_output("--proof", self.proof)

    def _check_output(self, option: str, path: Path | None) -> None:
        if path is None:
            return
        if os.path.isdir(path) or not os.path.isdir(path.parent):
            raise InvalidInput(f"{option} cannot be written: {path} needs an existing folder and a file name")
        if os.path.exists(path) and any(path.samefile(source) for source in (self.network, self.spec)):
            raise InvalidInput(f"{option} would overwrite the input file {path}")


def require_file(what: str, path: Path) -> None:
    """Raises `InvalidInput` when there is no such file."""
    # os.path answers False, where pathlib raises, for names that the system refuses to look up.
    if os.path.isdir(path):
        raise InvalidInput(f"the {what} must be a file, {path} is a folder")
    if not os.path.exists(path):
        raise InvalidInput(f"{what} file not found: {path}")


def help_text(name: str) -> str:
    """One line about a field of `RunOptions`: reason, range and unit."""
    data = next(entry for entry in fields(RunOptions) if entry.name == name).metadata
    unit = f" {data['unit']}" if data["unit"] else ""
    return f"{data['reason']} ({data['range']}{unit})"


def parse_size(text: str) -> int:
    """Bytes of a size such as `8G`, `1.5 GiB`, `512M` or `1000000`; K, M, G, T are powers of 1024."""
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size <= 0:
        raise InvalidInput(f"a memory size is a positive number with K, M, G or T, such as 512M or 8G, got {text!r}")
    return size
