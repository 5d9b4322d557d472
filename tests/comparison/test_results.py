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


@pytest.mark.parametrize(("n_classes", "listed"), [(50, 50), (51, 0)])
def test_recalls_stand_beside_the_counts_of_up_to_fifty_classes(n_classes, listed):
    from steelyard.comparison.dataset import from_memory
    from steelyard.comparison.scoring import scored_metrics
    from steelyard.comparison.settings import settings

    y = [f"species {k % n_classes}" for k in range(4 * n_classes)] + ["species 7"] * 5
    dataset = from_memory(np.arange(2.0 * len(y)).reshape(-1, 2) % 17, y)
    names = [m.name for m in scored_metrics(dataset, settings(dataset.target, cv=2))]
    about = dataset.describe()
    recalls = [f"recall_{label}" for label in about["classes"]]
    assert [name for name in names if name.startswith("recall_")] == recalls[:listed]
    assert ("calibration_slope" in names) == (listed > 0)
    assert about["counts"][about["classes"].index("species 7")] == 9
    assert len(about["counts"]) == n_classes
