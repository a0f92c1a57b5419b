"""What a measurement was made on: the commit of this checkout, and the machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks.process import ROOT
from verify.errors import InvalidInput

# What decides a verdict and its time; a changed test or document does not make a measurement another one.
MEASURED = ("verify", "bab", "pyproject.toml")


@dataclass(frozen=True)
class Machine:
    """Processor name, cores that this process may use, versions of python and torch."""

    cpu: str
    cores: int
    python: str
    torch: str

    @classmethod
    def this(cls) -> Machine:
        """The machine that we run on; asks the package's metadata, torch itself is not imported."""
        try:
            torch = metadata.version("torch")
        except metadata.PackageNotFoundError:
            torch = "none"
        return cls(cpu_name(), usable_cores(), platform.python_version(), torch)


def usable_cores() -> int:
    """Cores that this process may use; all of the machine's where the system does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model name of Linux, elsewhere what the platform says."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def commit(root: Path = ROOT) -> str:
    """The commit of the checkout, 12 digits; with `-dirty.` and a digest of the sources when they differ from it.

    Raises InvalidInput where git does not know the folder: a measurement without a commit cannot be compared.
    """
    head = _git(root, "rev-parse", "--short=12", "HEAD").strip()
    changed = _git(root, "status", "--porcelain", "--", *MEASURED)
    return f"{head}-dirty.{_digest(root)}" if changed else head


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True)
    except OSError as error:
        raise InvalidInput(f"cannot run git, which tells the measured commit: {error.strerror}") from error
    if done.returncode:
        raise InvalidInput(f"{root}: git cannot tell the measured commit: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def _digest(root: Path) -> str:
    """Eight digits over names and contents of the measured sources."""
    total = hashlib.sha256()
    for part in MEASURED:
        base = root / part
        for path in sorted(base.rglob("*.py")) if base.is_dir() else [base]:
            content = path.read_bytes() if path.exists() else b""
            total.update(f"{path.relative_to(root)}\0{len(content)}\0".encode() + content)
    return total.hexdigest()[:8]
