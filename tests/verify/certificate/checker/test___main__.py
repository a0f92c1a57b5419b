"""`python -m verify.certificate.checker` is the checker's command line."""

import subprocess
import sys


def test_help_and_a_missing_file(tmp_path):
    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", "verify.certificate.checker", *arguments], capture_output=True,
                              text=True)

    assert run("--help").stdout.startswith("usage: verify check")
    done = run(*[str(tmp_path / name) for name in "abc"])
    assert (done.returncode, done.stdout) == (2, "") and "Traceback" not in done.stderr
