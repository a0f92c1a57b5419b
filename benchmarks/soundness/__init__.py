"""The soundness laboratory: numbered series of cases in which the verifier could be wrong, run for hours, 0 expected.

    python -m benchmarks.soundness --seconds 600 --out report.md       every experiment gets the same share of the time
    python -m benchmarks.soundness --full --jobs 2 --out report.md     every experiment up to its full number of cases

One file per experiment; `experiment.py` says what one is, `driver.py` runs them, `report.py` writes the report.
"""
