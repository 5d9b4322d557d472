import json
import os

import numpy as np
import pytest

from steelyard.comparison.results import Result, load, plain, write_text
from steelyard.errors import InputError


def test_numbers_that_json_does_not_know_become_null_and_labels_text():
    value = plain({"a": [np.float64("nan"), np.inf, np.int64(3), np.bool_(True)], "b": (1, "x"), "c": {1: b"y"}})
    assert value == {"a": [None, None, 3, True], "b": [1, "x"], "c": {"1": "b'y'"}}
    json.dumps(value, allow_nan=False)


def test_a_write_that_fails_leaves_the_old_file_and_no_rubbish(tmp_path, monkeypatch):
    path = write_text(tmp_path / "results.json", "old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_files_are_as_readable_as_any(tmp_path):
    (tmp_path / "other").write_text("")
    written = write_text(tmp_path / "results.json", "text")
    assert written.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "a folder with results.json"),
        ("{", "JSON in"),
        ("[]", "schema_version 1"),
        ('{"schema_version": 99}', "schema_version 1 in .*got 99"),
    ],
)
def test_a_folder_without_results_is_explained(tmp_path, text, message):
    if text is not None:
        (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_what_is_handed_out_cannot_change_the_result():
    result = Result({"best": {"strategy": "none"}, "summary": []})
    result.to_dict()["best"]["strategy"] = "changed"
    result.best["strategy"] = "changed"
    assert result.best == {"strategy": "none"}
