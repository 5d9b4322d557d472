"""What keeps a large table small in memory changes nothing but the memory."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from steelyard.comparison import fold_scores, preprocessing
from steelyard.comparison.columns import arrow_table, features
from steelyard.comparison.dataset import from_file, from_memory, row_hashes
from steelyard.comparison.files import ParquetTable, read_table
from steelyard.comparison.fold_scores import PreparedFold
from steelyard.comparison.folds import outer_splits
from steelyard.comparison.running import run
from steelyard.comparison.settings import settings
from steelyard.errors import InputError


@pytest.fixture
def parquet_file(mixed, tmp_path):
    frame, y = mixed
    path = tmp_path / "data.parquet"
    parquet.write_table(pa.Table.from_pandas(frame.assign(y=y)), path, row_group_size=50)
    return path


def without_times(result):
    content = result.to_dict()
    for row in content["runs"]:
        row.pop("fit_seconds")
    return content


def test_parquet_is_read_a_column_at_a_time(parquet_file, mixed, monkeypatch):
    frame, y = mixed
    read = []
    column = ParquetTable.column

    def noted(self, name):
        read.append(name)
        return column(self, name)

    monkeypatch.setattr(ParquetTable, "column", noted)
    monkeypatch.setattr(parquet, "read_table", None)
    found = from_file(parquet_file, "y")
    assert sorted(read) == sorted([*frame, "y"])
    assert found.fingerprint() == from_memory(frame, y).fingerprint()


def test_texts_of_row_groups_with_different_levels_are_one_category(parquet_file, mixed):
    frame, _ = mixed
    order = np.argsort(frame["sex"].to_numpy(), kind="stable")
    path = parquet_file.with_name("sorted.parquet")
    parquet.write_table(pa.Table.from_pandas(frame.iloc[order]), path, row_group_size=40)
    one = features(read_table(path).drop_columns(["__index_level_0__"]))
    other = features(arrow_table(frame.iloc[order]))
    pd.testing.assert_frame_equal(one.frame, other.frame)
    assert {n: one.types[n] for n in one.numeric} == {n: other.types[n] for n in other.numeric}


def test_columns_whose_names_have_dots_are_themselves(tmp_path):
    path = tmp_path / "dots.parquet"
    table = pa.table({"a": [1.0, 2.0, 4.0], "a.b": [5.0, 6.0, 8.0], "b": ["x", "y", "x"]})
    parquet.write_table(table, path)
    found = read_table(path)
    for name in table.column_names:
        assert found.column(name).to_pylist() == table.column(name).to_pylist()


def test_a_damaged_parquet_file_is_explained_when_its_column_is_read(parquet_file):
    data = bytearray(parquet_file.read_bytes())
    data[4:600] = bytes(596)
    parquet_file.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"a file in the format of its ending, \.parquet"):
        from_file(parquet_file, "y")


def test_stored_columns_are_as_narrow_as_their_types_allow():
    rng = np.random.default_rng(0)
    n = 200
    found = features(
        arrow_table(
            {
                "half": rng.normal(size=n).astype(np.float16),
                "single": rng.normal(size=n).astype(np.float32),
                "double": rng.normal(size=n),
                "byte": rng.integers(0, 9, n).astype(np.uint8),
                "long": rng.integers(0, 10**12, n),
                "text": rng.choice(["a", "b"], n),
            }
        )
    )
    kinds = {name: str(found.frame[name].dtype) for name in found.frame}
    assert kinds == {
        "half": "float32",
        "single": "float32",
        "double": "float64",
        "byte": "float32",
        "long": "float64",
        "text": "category",
    }
    assert found.frame["text"].cat.codes.dtype == np.int8


def test_equal_rows_have_equal_hashes_and_others_do_not(mixed):
    frame, _ = mixed
    doubled = pd.concat([frame, frame.iloc[::3]], ignore_index=True)
    found = features(arrow_table(doubled))
    hashes = row_hashes(found)
    assert len(np.unique(hashes)) == (~found.frame.duplicated()).sum()
    np.testing.assert_array_equal(hashes[len(frame) :], hashes[: len(frame) : 3])
    signed = features(arrow_table({"a": [0.0, -0.0, 1.0, 2.0, np.nan, -np.nan]}))
    assert len(np.unique(row_hashes(signed))) == 4


@pytest.mark.parametrize("decisions", ["default", "both"])
def test_inner_folds_one_at_a_time_and_scores_in_chunks_change_nothing(mixed, monkeypatch, decisions):
    frame, y = mixed
    dataset = from_memory(frame, y)
    asked = settings(dataset.target, ["none", "balanced"], ("linear", "lightgbm"), cv=2, repeats=1, decisions=decisions)
    usual = without_times(run(dataset, asked))
    monkeypatch.setattr(fold_scores, "_KEPT", 0)
    monkeypatch.setattr("steelyard.training.models.CHUNK", 32)
    large = without_times(run(dataset, asked))
    assert large == usual


def test_inner_folds_of_a_large_table_are_not_kept(mixed, monkeypatch):
    frame, y = mixed
    dataset = from_memory(frame, y)
    asked = settings(dataset.target, ["none"], "linear", cv=2, repeats=1)
    split = outer_splits(dataset.target.y, 2, 1, 0)[0]
    kept = PreparedFold(dataset, asked, split)
    assert kept.inner[0][1] is kept.inner[0][1]
    monkeypatch.setattr(fold_scores, "_KEPT", 0)
    fold = PreparedFold(dataset, asked, split)
    assert fold.inner[0][1] is not fold.inner[0][1]
    assert [len(held_out) for held_out, _ in fold.inner] == [len(held_out) for held_out, _ in kept.inner]
    for (_, a), (_, b) in zip(fold.inner, kept.inner, strict=True):
        np.testing.assert_array_equal(a.train, b.train)


def test_single_precision_is_said_and_moves_scores_by_rounding_alone(mixed, monkeypatch):
    frame, y = mixed
    asked = settings(from_memory(frame, y).target, ["none", "balanced"], "linear", cv=2, repeats=1)
    usual = run(from_memory(frame, y), asked)
    monkeypatch.setattr(preprocessing, "_DOUBLE", 1)
    result = run(from_memory(frame, y), asked)
    assert any("single precision" in warning for warning in result.to_dict()["warnings"])
    for key, stored in usual.out_of_fold.items():
        np.testing.assert_allclose(result.out_of_fold[key].proba, stored.proba, atol=1e-5)
