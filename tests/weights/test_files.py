from __future__ import annotations

import gzip
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from steelyard.errors import InputError, MissingDependencyError
from steelyard.weights.files import count_file

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

TABLE = {"x": [1.5, 2.5, 3.5, 4.5], "y": ["b", "a", "b", "b"]}


def as_dict(counts):
    return dict(zip(counts.classes, counts.counts.tolist(), strict=True))


def csv(folder: Path, text: str | bytes, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def write(folder: Path, name: str, columns: dict) -> Path:
    table, path = pa.table(columns), folder / name
    text = "\n".join(["x{0}y", *(f"{x}{{0}}{y}" for x, y in zip(columns["x"], columns["y"], strict=True))])
    if name.endswith((".parquet", ".pq")):
        pq.write_table(table, path, row_group_size=3)
    elif name.endswith((".arrow", ".feather")):
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=3)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.format("\t" if ".tsv" in name else ",").encode()))
    else:
        path.write_text(text.format("\t" if name.endswith(".tsv") else ","))
    return path


@pytest.mark.parametrize(
    "name", ["d.csv", "d.tsv", "d.csv.gz", "d.tsv.gz", "d.CSV", "d.parquet", "d.pq", "d.arrow", "d.feather"]
)
@pytest.mark.parametrize("labels", [["b", "a", "b", "b"], [1, 0, 1, 1], [True, False, True, True]], ids=str)
def test_every_format_gives_the_same(tmp_path, name, labels):
    path = write(tmp_path, name, {"x": TABLE["x"], "y": labels})
    counts = count_file(path, "y")
    assert as_dict(counts) == {min(labels): 1, max(labels): 3}
    assert {type(c) for c in counts.classes} == {type(labels[0])}


def test_labels_of_a_csv_file(tmp_path):
    assert as_dict(count_file(csv(tmp_path, "y\n1.0\n2\n1\n"), "y")) == {1: 2, 2: 1}
    assert as_dict(count_file(csv(tmp_path, "y\n01\n1\n"), "y")) == {"01": 1, "1": 1}  # codes, not numbers
    assert as_dict(count_file(csv(tmp_path, "y\n1\n2\nx\n0.5\n"), "y")) == {"0.5": 1, "1": 1, "2": 1, "x": 1}
    assert as_dict(count_file(csv(tmp_path, 'y,t\n"a,b","two\nlines"\n"<b>",c\n'), "y")) == {"<b>": 1, "a,b": 1}
    assert as_dict(count_file(csv(tmp_path, b"\xef\xbb\xbfy\nk\xc3\xa4se\n"), "y")) == {"käse": 1}


def test_a_label_that_changes_its_type_after_the_first_block(tmp_path):
    path = csv(tmp_path, "y\n" + "1\n" * 1_000_000 + "x\n")
    assert as_dict(count_file(path, "y")) == {"1": 1_000_000, "x": 1}


def test_missing_labels(tmp_path):
    path = csv(tmp_path, "x,y\n1,a\n2,\n3,NA\n4,b\n")
    with pytest.raises(InputError, match=r"2 of 4 rows without one.*--ignore-missing"):
        count_file(path, "y")
    assert as_dict(count_file(path, "y", ignore_missing=True)) == {"a": 1, "b": 1}
    for name, y in [
        ("n.parquet", [3, None, 1]),
        ("f.parquet", [3.0, float("nan"), 1.0]),
        ("t.arrow", ["a", None, "b"]),
    ]:
        path = write(tmp_path, name, {"x": [1, 2, 3], "y": y})
        with pytest.raises(InputError, match="1 of 3 rows without one"):
            count_file(path, "y")
        assert count_file(path, "y", ignore_missing=True).counts.tolist() == [1, 1]


BAD = {
    "column": ("data.csv", "price,label\n1,a\n", "lable", r"\{'price', 'label'\}.*did you mean 'label'"),
    "delimiter": ("data.csv", "x;y\n1;a\n", "y", "has no ',' but ';'"),
    "twice": ("data.csv", "y,y\na,b\n", "y", "one column named 'y'; got 2"),
    "empty": ("data.csv", "", "y", "which is empty"),
    "blank": ("data.csv", "\n\n", "y", "which is empty"),
    "header only": ("data.csv", "x,y\n", "y", "no rows"),
    "all missing": ("data.csv", "x,y\n1,\n", "y", "1 of 1 rows without"),
    "broken line": ("data.csv", "x,y\n1,a\n2,b\n3\n4,d\n", "y", "line 4: Expected 2 columns, got 1"),
    "encoding": ("data.csv", b"x,y\n1,\xff\n", "y", "UTF-8"),
    "regression": ("data.csv", "x,y\n1,0.25\n2,0.5\n", "y", "the number 0.25.*regression target"),
    "ending": ("data.xls", "x", "y", r"ends in one of \.csv"),
    "no parquet": ("data.parquet", "x,y\n1,a\n", "y", "readable file.*ending"),
    "no arrow": ("data.arrow", "x,y\n1,a\n", "y", "readable file.*ending"),
    "no gzip": ("data.csv.gz", "x,y\n1,a\n", "y", "readable file"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(tmp_path, case):
    name, content, target, message = BAD[case]
    with pytest.raises(InputError, match=message):
        count_file(csv(tmp_path, content, name), target)


def test_a_broken_line_far_down_has_its_number(tmp_path):
    lines = ["x,y", *(f"{i},a" for i in range(400_000))]
    lines[300_000 - 1] = "1,a,too,many"
    with pytest.raises(InputError, match="line 300000: Expected 2 columns, got 4"):
        count_file(csv(tmp_path, "\n".join(lines)), "y")


def test_columns_and_labels_of_binary_files(tmp_path):
    path = write(tmp_path, "d.parquet", TABLE)
    with pytest.raises(InputError, match=r"a target column among {'x', 'y'}; got 'Y'"):
        count_file(path, "Y")
    with pytest.raises(InputError, match=r"1\.5.*regression target"):
        count_file(path, "x")
    with pytest.raises(InputError, match="got 'z'"):
        count_file(write(tmp_path, "d.feather", TABLE), "z")
    dotted = tmp_path / "dotted.parquet"
    pq.write_table(pa.table({"a.b": ["u"], "a": ["v"]}), dotted)
    assert as_dict(count_file(dotted, "a.b")) == {"u": 1}
    assert as_dict(count_file(dotted, "a")) == {"v": 1}


def test_files_that_are_not_there(tmp_path):
    csv(tmp_path, "y\n1\n")
    with pytest.raises(InputError, match=r"does not exist.*did you mean 'data\.csv'"):
        count_file(tmp_path / "dta.csv", "y")
    with pytest.raises(InputError, match="the folder"):
        count_file(tmp_path, "y")


def test_an_identifier_is_not_a_class(tmp_path, monkeypatch):
    monkeypatch.setattr("steelyard.weights.files._MOST_CLASSES", 100)
    path = csv(tmp_path, "y\n" + "\n".join(f"id{i}" for i in range(200)))
    with pytest.raises(InputError, match=r"at most 100 classes.*identifier"):
        count_file(path, "y")


def test_without_pyarrow(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match="steelyard\\[compare\\]"):
        count_file(tmp_path / "d.csv", "y")


MEASURE = """
import re, sys
from pathlib import Path
from steelyard.weights.files import count_file
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
count_file(sys.argv[2], "y")
before = peak()
counts = count_file(sys.argv[1], "y")
print(counts.total, (peak() - before) // 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("kind", ["int64", "text"])
def test_memory_does_not_grow_with_the_file(tmp_path, kind):
    n = 5_000_000
    y = np.random.default_rng(0).integers(0, 10, n)
    column = pa.array(y) if kind == "int64" else pa.array(np.array([f"class {i}" for i in range(10)])[y])
    # one row group, which a reader that loads row groups would hold as a whole: 38 MiB as int64
    pq.write_table(pa.table({"y": column}), tmp_path / "large.parquet", row_group_size=n, use_dictionary=kind == "text")
    pq.write_table(pa.table({"y": column[:1000]}), tmp_path / "small.parquet")
    out = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path / "large.parquet", tmp_path / "small.parquet"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    total, growth = map(int, re.findall(r"\d+", out))
    assert total == n
    # text: 5 million strings of 7 bytes with offsets of 4 are 52 MiB
    assert growth < {"int64": 24, "text": 40}[kind], f"{growth} MiB"
