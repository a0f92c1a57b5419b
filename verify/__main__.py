"""The console script `verify`, and `python -m verify`.

`verify check` goes straight to the checker, which needs neither torch nor the command line of the rest: a check is
often shorter than their import.
"""

import sys


def main() -> None:
    if sys.argv[1:2] == ["check"]:
        from verify.certificate.checker.cli import main as check

        sys.exit(check(sys.argv[2:]))
    from verify.cli import main as rest

    rest()


if __name__ == "__main__":
    main()
