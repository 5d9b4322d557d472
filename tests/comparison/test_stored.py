"""Stored models: the same predictions to the last bit, whole or not at all, and no code from strangers."""

import datetime
import hashlib
import json
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

import steelyard as sy
from steelyard.comparison.classifier import Classifier
from steelyard.comparison.results import Result
from steelyard.comparison.stored import save
from steelyard.errors import InputError

FILES = ("model.json", "arrays.safetensors", "SHA256SUMS")


def signed(folder):
    """Write the sums anew, as a stranger would after changing a file."""
    lines = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in lines]
    (folder / "SHA256SUMS").write_text("".join(sums))


@pytest.fixture
def stored(mixed, tmp_path):
    return save(Classifier(strategy="balanced").fit(*mixed), tmp_path / "model")


@pytest.mark.parametrize("decision", ["default", "tuned"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    ("model", "strategy", "options"),
    [
        ("linear", "logit_adjusted", None),
        ("linear", "smote", None),
        ("mlp", "ldam", {"hidden": (8, 8), "epochs": 2}),
        ("lightgbm", "class_balanced_focal", {"n_estimators": 5}),
        ("lightgbm", "oversample", {"n_estimators": 5}),
        ("xgboost", "class_balanced_focal", {"n_estimators": 3}),
        ("xgboost", "ldam", {"n_estimators": 3}),
        ("catboost", "logit_adjusted", {"n_estimators": 3}),
        ("catboost", "undersample", {"n_estimators": 3}),
    ],
)
def test_predictions_are_the_same_to_the_last_bit(mixed, tmp_path, model, strategy, options, n_classes, decision):
    pytest.importorskip({"mlp": "jax"}.get(model, model) if model != "linear" else "scipy")
    frame, y = mixed
    if n_classes == 3:
        y = np.where(frame["dose"] == 4, "so-so", y)
    before = Classifier(model, strategy, decision, model_options=options).fit(frame, y)
    after = sy.load(save(before, tmp_path / "model"))
    np.testing.assert_array_equal(after.predict_proba(frame), before.predict_proba(frame))
    np.testing.assert_array_equal(after.predict(frame), before.predict(frame))
    assert [getattr(after, name) for name in ("model", "strategy", "decision", "metric", "model_options")] == [
        model, strategy, decision, None, options
    ]  # fmt: skip
    assert after.rule_ == before.rule_
    assert after.loss_ == before.loss_
    assert after.version_ == sy.__version__
    assert after.feature_names_in_.tolist() == list(frame)
    # stored again, it is the same to the last byte
    again = save(after, tmp_path / "again")
    for path in again.iterdir():
        assert path.read_bytes() == (tmp_path / "model" / path.name).read_bytes()


@pytest.mark.parametrize(
    "labels",
    [
        ("01", "1"),
        ("", " "),
        (0, 1),
        (1.0, 2.0),
        (False, True),
        (b"a", b"b"),
        ((1, "a"), (1, "b")),
        (datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)),
        (datetime.datetime(2020, 1, 1, 12), datetime.datetime(2021, 1, 1)),
        (10**30, -1),
        ("<script>", "Ω\udcff"),
        (1, "1"),
    ],
)
def test_labels_come_back_as_what_they_were(mixed, tmp_path, labels):
    frame, y = mixed
    before = Classifier().fit(frame, [labels[0] if label == "sick" else labels[1] for label in y])
    after = sy.load(save(before, tmp_path / "model"))
    assert after.classes_.tolist() == before.classes_.tolist()
    assert [type(c) for c in after.classes_.tolist()] == [type(c) for c in before.classes_.tolist()]
    assert after.classes_.dtype == before.classes_.dtype
    assert set(after.predict(frame).tolist()) <= set(labels)


def test_a_label_that_json_does_not_know_is_refused(mixed, tmp_path):
    frame, y = mixed
    model = Classifier().fit(frame, [frozenset({label}) for label in y])
    with pytest.raises(InputError, match="labels that can be stored.*frozenset"):
        save(model, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_other_class_shares_are_stored_too(mixed, tmp_path):
    frame, y = mixed
    before = Classifier().fit(frame, y).with_prior({"sick": 0.03})
    after = sy.load(save(before, tmp_path / "model"))
    np.testing.assert_array_equal(after.predict_proba(frame), before.predict_proba(frame))


def test_a_comparison_stores_its_winner(mixed, tmp_path):
    frame, y = mixed
    result = sy.compare(frame, y, ["balanced"], "linear", cv=2, repeats=1, out=tmp_path / "run")
    for path in (tmp_path / "run" / "model", str(tmp_path / "run")):
        np.testing.assert_array_equal(sy.load(path).predict_proba(frame), result.model.predict_proba(frame))
    assert sy.load(tmp_path / "run").decision == result.best["decision"]
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=tmp_path / "run" / "model", capture_output=True)
    assert done.returncode == 0


def test_a_comparison_without_a_winner_has_no_model():
    with pytest.raises(InputError, match="a comparison with a winner"):
        _ = Result({"best": {"strategy": None}, "summary": []}).model


# --- whole or not at all ------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_model_and_no_rubbish(mixed, stored, monkeypatch):
    frame, y = mixed
    before = {p.name: p.read_bytes() for p in stored.iterdir()}
    calls = []

    def full(handle):
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(Classifier().fit(frame, y), stored)
    assert {p.name: p.read_bytes() for p in stored.iterdir()} == before
    assert [p.name for p in stored.parent.iterdir()] == ["model"]


def test_a_new_model_replaces_the_old_one(mixed, stored):
    frame, y = mixed
    (stored / "note.txt").write_text("left by someone")
    save(Classifier(strategy="focal").fit(frame, y), stored)
    assert sorted(p.name for p in stored.iterdir()) == sorted(FILES)
    assert sy.load(stored).strategy == "focal"
    assert [p.name for p in stored.parent.iterdir()] == ["model"]


def test_the_folder_is_as_readable_as_any(stored):
    (stored.parent / "other").mkdir()
    assert stored.stat().st_mode == (stored.parent / "other").stat().st_mode


# --- what is no model of ours -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_noticed(stored, name):
    data = bytearray((stored / name).read_bytes())
    for place in (0, len(data) // 3, len(data) - 2):
        changed = data.copy()
        changed[place] ^= 1
        (stored / name).write_bytes(changed)
        with pytest.raises(InputError, match="an undamaged model in .*; got .*(not as it was written|does not name)"):
            sy.load(stored)
    (stored / name).write_bytes(data)
    sy.load(stored)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_missing_file_is_named(stored, name):
    (stored / name).unlink()
    with pytest.raises(InputError, match=f"{name} is missing"):
        sy.load(stored)


def test_a_file_that_was_cut_off_is_noticed(stored):
    data = (stored / "arrays.safetensors").read_bytes()
    (stored / "arrays.safetensors").write_bytes(data[:-8])
    with pytest.raises(InputError, match=r"arrays.safetensors is not as it was written"):
        sy.load(stored)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: p / "nowhere", "which does not exist. Hint: steelyard compare writes one"),
        (lambda p: p, "which holds none"),
        (lambda p: Path(p / "m.pkl").write_bytes(pickle.dumps(1)) and p / "m.pkl", "pickled models are not read"),
        (lambda p: Path(p / "results.json").write_text("{}") and p, "a comparison without one"),
    ],
)
def test_what_is_no_folder_of_a_model_is_explained(tmp_path, make, message):
    with pytest.raises(InputError, match=message):
        sy.load(make(tmp_path))


class _Evil:
    def __init__(self, sentinel):
        self.sentinel = str(sentinel)

    def __reduce__(self):
        return os.mkdir, (self.sentinel,)


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_in_place_of_any_file_runs_nothing(stored, tmp_path, name):
    evil = pickle.dumps(_Evil(tmp_path / "sentinel"))
    (stored / name).write_bytes(evil)
    if name != "SHA256SUMS":
        signed(stored)
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(stored)
    assert not (tmp_path / "sentinel").exists()
    pickle.loads(evil)
    assert (tmp_path / "sentinel").exists()  # it would have


def _put(content, value, *path):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model", "name"), "os.system"),
        (("model", "name"), "../linear"),
        (("model", "options"), {"__class__": "os.system"}),
        (("model", "facts"), {}),
        (("strategy", "parameters"), "import os"),
        (("decision",), "__import__('os').mkdir('x')"),
        (("point", "loss"), {"loss": "os.mkdir", "path": "x"}),
        (("point", "loss"), {"loss": "SoftmaxCrossEntropy", "class_weight": [1.0, 1.0, 1.0]}),
        (("point", "sampler"), "os"),
        (("point", "decision"), "__init__"),
        (("point", "priors"), [1.0]),
        (("point", "__class__"), "x"),
        (("rule",), {"rule": "os.mkdir"}),
        (("rule",), {"rule": "threshold", "threshold": "x", "positive": 1}),
        (("classes", 0), {"type": "eval", "value": "1"}),
        (("classes", 0), {"type": "bytes", "value": "zz"}),
        (("classes",), []),
        (("counts",), [1]),
        (("counts",), [-1, 5]),
        (("columns", "numbers", 0, "type"), "time32[os]"),
        (("columns", "numbers", 0, "median"), "x"),
        (("columns", "numbers", 0, "extra"), 1),
        (("columns", "numbers"), []),
        (("columns", "categories", 0, "levels"), []),
        (("columns",), None),
        (("target_prior",), [0.5, 0.6]),
    ],
)
def test_a_file_that_a_stranger_made_is_refused_in_one_line(stored, path, value):
    content = json.loads((stored / "model.json").read_text())
    _put(content, value, *path)
    (stored / "model.json").write_text(json.dumps(content))
    signed(stored)
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(stored)


@pytest.mark.parametrize("text", ["[" * 100_000, "{", "\xff", "[]", "null", "1"])
def test_facts_that_are_none_are_explained(stored, text):
    (stored / "model.json").write_bytes(text.encode("latin1"))
    signed(stored)
    with pytest.raises(InputError, match="is not JSON|schema_version 1 in"):
        sy.load(stored)


def test_sums_name_no_file_elsewhere(stored, tmp_path):
    (tmp_path / "secret").write_text("x")
    with (stored / "SHA256SUMS").open("a") as file:
        file.write(f"{hashlib.sha256(b'x').hexdigest()}  ../secret\n")
    with pytest.raises(InputError, match="does not name its files"):
        sy.load(stored)


def test_another_version_of_the_format_is_told(stored):
    content = json.loads((stored / "model.json").read_text())
    _put(content, 2, "schema_version")
    (stored / "model.json").write_text(json.dumps(content))
    signed(stored)
    with pytest.raises(InputError, match=f"schema_version 1 in .*; got 2. Hint: this is Steelyard {sy.__version__}"):
        sy.load(stored)


# --- numbers from strangers ---------------------------------------------------------------------------------------


def _tensors(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "data",
    [
        (2**63).to_bytes(8, "little") + b"{}",  # a header larger than any file
        (2**40).to_bytes(8, "little") + b"{" * 64,
        b"",
        b"\x00" * 8,
        _tensors({"weights": {"dtype": "F64", "shape": [2**40, 2**20], "data_offsets": [0, 2**60]}}),
        _tensors({"weights": {"dtype": "F64", "shape": [1, 1], "data_offsets": [0, 8]}}),  # and no data
        _tensors({"weights": {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}}, b"\x00" * 8),
        _tensors({"weights": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}, b"\x00" * 8),
        _tensors({"../../weights": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, b"\x00" * 8),
        _tensors(
            {
                "weights": {"dtype": "F64", "shape": [3, 2], "data_offsets": [0, 48]},
                "bias": {"dtype": "F64", "shape": [2], "data_offsets": [48, 64]},
            },
            b"\x00" * 64,
        ),
    ],
    ids=[
        "huge header",
        "long header",
        "empty",
        "no header",
        "huge",
        "cut",
        "objects",
        "negative",
        "path",
        "other shape",
    ],
)
def test_arrays_that_a_stranger_made_are_refused(stored, data):
    (stored / "arrays.safetensors").write_bytes(data)
    signed(stored)
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(stored)


@pytest.mark.parametrize("names", ["../../etc/passwd", "/etc/passwd", "trees.txt/../../x", "model.json\x00", "evil.py"])
def test_no_file_is_read_that_is_no_part_of_a_model(stored, names):
    with (stored / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  {names}\n")
    with pytest.raises(InputError, match="does not name its files"):
        sy.load(stored)


@pytest.mark.parametrize("framework", ["os", "../own_torch", "__import__('os')", 1, ["torch"]])
def test_a_framework_is_one_of_three(stored, framework):
    content = json.loads((stored / "model.json").read_text())
    content["model"]["facts"] = {"framework": framework, "factory": "os:system", "n_features": 1, "n_classes": 2}
    (stored / "model.json").write_text(json.dumps(content))
    signed(stored)
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(stored)


def test_trees_that_crash_lightgbm_are_refused(mixed, tmp_path):
    folder = save(Classifier("lightgbm", model_options={"n_estimators": 3}).fit(*mixed), tmp_path / "model")
    text = (folder / "trees.txt").read_text()
    start = text.index("left_child=") + len("left_child=")
    (folder / "trees.txt").write_text(text[:start] + "0" + text[text.index(" ", start) :])  # round in a circle
    signed(folder)
    with pytest.raises(InputError, match="an undamaged model in"):
        sy.load(folder)


def test_the_columns_that_differ_are_named(mixed, stored):
    frame, _ = mixed
    model = sy.load(stored)
    expected = model.predict_proba(frame)
    np.testing.assert_array_equal(model.predict_proba(frame[list(frame)[::-1]].assign(more=1)), expected)
    name = model.final_.columns.numbers[0].name
    with pytest.raises(InputError, match=f"none called '{name}'"):
        model.predict(frame.drop(columns=name))
    with pytest.raises(InputError, match=f"a number in every row of column '{name}'.*got 'many' in row 0"):
        model.predict(frame.assign(**{name: "many"}))
    with pytest.raises(InputError, match=f"a number in every row of column '{name}'"):
        model.predict(frame.assign(**{name: [[1.0]] * len(frame)}))
