import csv
import math

import pytest

from benchmarks.proofs import Costs, main, summary

LIST = "set,onnx,vnnlib,timeout,expected\n" + "".join(
    f"digits,examples/digits_mlp.onnx,examples/digits_mlp_{kind}.vnnlib,60,{expected}\n"
    for kind, expected in (("holds", "unsat"), ("violated", "sat")))


def test_the_examples(tmp_path, capsys):
    (tmp_path / "list.csv").write_text(LIST)
    assert main([str(tmp_path / "list.csv"), "--out", str(tmp_path / "rows.csv")]) == 0
    holds, violated = csv.DictReader((tmp_path / "rows.csv").open())
    assert (holds["plain"], holds["proved"], holds["answer"]) == ("unsat", "unsat", "accepted")
    assert int(holds["leaves"]) > 1 and 0 < float(holds["checked_s"]) < float(holds["check_s"])
    assert (violated["plain"], violated["proved"], violated["answer"]) == ("sat", "", "")
    assert "2 instances, 1 unsat without a proof, 1 with one, 1 accepted" in capsys.readouterr().out


def test_summary_counts_pairs():
    row = dict(set="s", onnx="n", vnnlib="v", plain="unsat", proved="unsat", answer="accepted", plain_s=2.0,
               proved_s=2.2, check_s=0.2, checked_s=0.1, leaves=10, bytes=500, smallest_margin=0.5)
    lost = {**row, "proved": "unknown", "answer": "", "check_s": math.nan}
    text = summary([Costs(**row), Costs(**lost)])
    assert "2 instances, 2 unsat without a proof, 1 with one, 1 accepted" in text
    assert "median 1.100" in text and "median 0.100" in text and "all proofs: 50.0" in text


@pytest.mark.parametrize("text", ["onnx,vnnlib\na,b\n", ""])
def test_lists_that_cannot_be_read(tmp_path, text, capsys):
    (tmp_path / "list.csv").write_text(text)
    assert main([str(tmp_path / "list.csv")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
