import gzip

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from steelyard.comparison.dataset import from_file
from steelyard.comparison.files import read_table
from steelyard.errors import InputError

TEXT = "a,b,y\n1,x,no\n2,,no\n?,z,yes\n4,w,yes\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def table():
    return pa.table({"a": [1.0, 2.0, None, 4.0], "b": ["x", None, "z", "w"], "y": ["no", "no", "yes", "yes"]})


def test_every_format_gives_the_same_data_set(tmp_path, table):
    write(tmp_path / "t.csv", TEXT)
    write(tmp_path / "bom.csv", "\ufeff" + TEXT)
    write(tmp_path / "crlf.csv", TEXT.replace("\n", "\r\n"))
    write(tmp_path / "t.tsv", TEXT.replace(",", "\t"))
    write(tmp_path / "semicolon.csv", TEXT.replace(",", ";"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(TEXT.encode()))
    parquet.write_table(table, tmp_path / "t.parquet")
    feather.write_feather(table, tmp_path / "t.feather")
    with pa.OSFile(str(tmp_path / "t.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    prints = {p.name: from_file(p, "y").fingerprint() for p in sorted(tmp_path.iterdir())}
    assert len(prints) == 9
    assert len(set(prints.values())) == 1, prints


def test_missing_values_are_read_as_such(tmp_path):
    read = read_table(write(tmp_path / "t.csv", TEXT))
    assert read.column("a").to_pylist() == [1, 2, None, 4]
    assert read.column("b").to_pylist() == ["x", None, "z", "w"]


def test_semicolons_and_decimal_commas(tmp_path):
    read = read_table(write(tmp_path / "t.csv", "a;b;y\n1,5;1;no\n-2,25;2;yes\n"))
    assert read.column("a").to_pylist() == [1.5, -2.25]
    read = read_table(write(tmp_path / "t.csv", "a;b;y\n1.5;1;no\n2.25;2,5 mg;yes\n"))
    assert read.column("a").to_pylist() == [1.5, 2.25]


def test_types_come_from_the_whole_column(tmp_path):
    """Numbers for the first megabyte, then a word: the column is text, not an error."""
    lines = "\n".join(f"{i},{i % 2}" for i in range(200_000))
    read = read_table(write(tmp_path / "t.csv", f"a,y\n{lines}\nunknown,1\n"))
    assert read.column("a").type == pa.string()
    assert read.num_rows == 200_001


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "'.*t.csv', which is empty"),
        ("t.csv", "a,b\n", "which has only a header"),
        ("t.csv", "a,b\n1,2\n3,4,5\n6,7\n", "2 fields in every line of .*; got 3 in line 3"),
        ("t.csv", 'a,b\n1,"two\nlines"\n3\n', "got 1 in line 4"),
        ("t.xlsx", "whatever", "a file ending in .csv.*got 't.xlsx'"),
        ("data", "whatever", "a file ending in .csv"),
        ("t.parquet", "a,b\n1,2\n", "in the format of its ending, .parquet.*cut off"),
        ("t.feather", "a,b\n1,2\n", "in the format of its ending, .feather"),
        ("t.csv.gz", "a,b\n1,2\n", "a readable gzip file"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        read_table(write(tmp_path / name, text))


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("a,b\n1,x\n2,é\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"the byte 0xe9 in line 3 .*iconv"):
        read_table(path)


def test_a_missing_file_is_looked_for(tmp_path):
    write(tmp_path / "hypothyroid.csv", TEXT)
    with pytest.raises(InputError, match=r"does not exist. Hint: did you mean 'hypothyroid.csv'"):
        read_table(tmp_path / "hypothiroid.csv")
    with pytest.raises(InputError, match=r"the folder '.*nowhere' does not exist"):
        read_table(tmp_path / "nowhere" / "t.csv")


def test_a_missing_target_is_looked_for(tmp_path):
    path = write(tmp_path / "t.csv", TEXT.replace("y\n", "outcome\n", 1))
    with pytest.raises(InputError, match="got 'outcom'. Hint: did you mean 'outcome'"):
        from_file(path, "outcom")
    with pytest.raises(InputError, match="Hint: it has a, b, outcome"):
        from_file(path, "zzz")


def test_repeated_column_names_are_refused(tmp_path):
    path = write(tmp_path / "t.csv", "a,a,y\n1,2,no\n3,4,yes\n")
    with pytest.raises(InputError, match="different column names; got 'a' more than once"):
        from_file(path, "y")
    path = write(tmp_path / "t.csv", "a,y,y\n1,2,no\n3,4,yes\n")
    with pytest.raises(InputError, match="'y' more than once"):
        from_file(path, "y")


def test_the_fingerprint_sees_a_changed_cell(tmp_path):
    before = from_file(write(tmp_path / "t.csv", TEXT), "y").fingerprint()
    after = from_file(write(tmp_path / "t.csv", TEXT.replace("4,w", "5,w")), "y").fingerprint()
    assert before != after
    assert len(before) == 64
    assert np.all([c in "0123456789abcdef" for c in before])
