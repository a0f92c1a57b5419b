from __future__ import annotations

import pytest

from benchmarks.instances import Instance, read_instances, select
from benchmarks.process import ROOT
from verify.errors import InvalidInput


@pytest.fixture
def write(tmp_path):
    for name in ("a.onnx", "p.vnnlib", "q.vnnlib"):
        (tmp_path / name).write_text("")

    def listed(text):
        path = tmp_path / "some.csv"
        path.write_text(text)
        return read_instances(path, tmp_path)

    return listed


def test_all_columns_in_any_order(write):
    found = write("expected,set,timeout,vnnlib,onnx,more\nsat,s,2.5,p.vnnlib,a.onnx,x\n?,t,3,q.vnnlib,a.onnx,\n")
    assert found == (Instance("s", "a.onnx", "p.vnnlib", 2.5, "sat"), Instance("t", "a.onnx", "q.vnnlib", 3.0, ""))


def test_set_and_expected_may_be_missing(write):
    assert write("onnx,vnnlib,timeout\na.onnx,p.vnnlib,1\n") == (Instance("some", "a.onnx", "p.vnnlib", 1.0, ""),)


@pytest.mark.parametrize("text, message", [
    ("", "column onnx is missing"),
    ("onnx,vnnlib\na.onnx,p.vnnlib\n", "column timeout is missing"),
    ("onnx,vnnlib,timeout\na.onnx,p.vnnlib,0\n", r"line 2: timeout '0'"),
    ("onnx,vnnlib,timeout\na.onnx,p.vnnlib,nan\n", r"line 2: timeout 'nan'"),
    ("onnx,vnnlib,timeout\na.onnx,p.vnnlib\n", r"line 2: timeout ''"),
    ("onnx,vnnlib,timeout\na.onnx,p.vnnlib,1\nb.onnx,p.vnnlib,1\n", r"line 3: no such file: .*b.onnx; --base"),
    ("onnx,vnnlib,timeout,expected\na.onnx,p.vnnlib,1,maybe\n", r"expected verdict 'maybe'"),
    ("onnx,vnnlib,timeout\na.onnx,p.vnnlib,1\na.onnx,p.vnnlib,2\n", r"line 3: .*listed twice"),
])
def test_bad_lists(write, text, message):
    with pytest.raises(InvalidInput, match=message):
        write(text)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read the list"):
        read_instances(tmp_path / "none.csv", tmp_path)


def test_select():
    listed = tuple(Instance(name, f"{k}.onnx", "p", 1.0, "") for k, name in enumerate("aabbc"))
    assert select(listed) == listed
    assert [i.onnx for i in select(listed, ("a", "c"))] == ["0.onnx", "1.onnx", "4.onnx"]
    assert [i.onnx for i in select(listed, (), 2)] == ["0.onnx", "2.onnx", "4.onnx"]
    with pytest.raises(InvalidInput, match="no set d in the list; it has: a, b, c"):
        select(listed, ("a", "d"))


def test_the_suites_name_files_that_exist():
    suites = sorted((ROOT / "benchmarks" / "suites").glob("*.csv"))
    assert suites and all(read_instances(path, ROOT) for path in suites)
