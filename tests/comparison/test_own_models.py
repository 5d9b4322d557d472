"""Models of the user's own in a comparison: compared, stored without their code, loaded with it."""

import hashlib
import json
import threading

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.naive_bayes import GaussianNB

import steelyard as sy
from steelyard.errors import InputError
from tests.training import own_models

FAST = {"cv": 2, "repeats": 1, "decisions": "default"}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = (rng.random(240) < 0.2).astype(int)
    return rng.normal(size=(240, 3)) + 0.8 * y[:, None], y


class Taught(GaussianNB):
    """A user's own class: its name says nothing to anybody else."""


def test_they_stand_beside_ours_and_each_leaves_out_what_it_cannot_do(rows):
    net = ("net", own_models.make_net, {"epochs": 3})
    result = sy.compare(*rows, ["balanced", "focal"], ["linear", net, ("bayes", GaussianNB())], **FAST)
    content = result.to_dict()
    assert content["settings"]["models"] == ["linear", "net", "bayes"]
    assert content["settings"]["model_options"] == {"net": {"epochs": 3}}
    assert set(content["settings"]["own_models"]) == {"net", "bayes"}
    reason = "needs a loss; a scikit-learn classifier takes weights only"
    assert content["skipped"] == [{"model": "bayes", "strategy": "focal", "reason": reason}]
    assert {(r["model"], r["strategy"]) for r in content["runs"] if r["strategy"] == "focal"} == {
        ("linear", "focal"),
        ("net", "focal"),
    }


def test_a_strategy_that_fails_leaves_the_others_alone(rows):
    class Fussy(torch.nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.last = torch.nn.Linear(n_features, n_classes)

        def forward(self, x):
            if self.training and len(x) == 24:
                raise ValueError("not so many rows")
            return self.last(x)

    content = sy.compare(*rows, ["balanced"], (Fussy, {"epochs": 1, "batch_size": 16}), **FAST).to_dict()
    assert content["skipped"] == []
    with pytest.raises(
        InputError, match="the baseline of model 'Fussy' can be trained on; got ValueError: not so many"
    ):
        sy.compare(*rows, ["balanced"], (Fussy, {"epochs": 1, "batch_size": 24}), **FAST)


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (own_models.make_net, {"factory": own_models.make_net}),
        ("tests.training.own_models:make_net", {}),
        (GaussianNB(), {}),
    ],
    ids=["function", "path", "scikit-learn"],
)
def test_stored_and_loaded_they_predict_the_same_to_the_last_bit(rows, tmp_path, model, options):
    if isinstance(model, str):
        options = {"factory": model}
    result = sy.compare(*rows, ["balanced"], model, out=tmp_path / "run", **FAST)
    again = sy.load(tmp_path / "run", **options)
    np.testing.assert_array_equal(again.predict_proba(rows[0]), result.model.predict_proba(rows[0]))
    np.testing.assert_array_equal(again.predict(rows[0]), result.model.predict(rows[0]))
    again.fit(*rows)  # a scikit-learn classifier like any other


def test_a_network_is_not_loaded_without_its_factory_and_nothing_is_imported(rows, tmp_path, monkeypatch):
    sy.compare(*rows, ["balanced"], own_models.make_net, out=tmp_path / "run", **FAST)
    path = tmp_path / "run" / "model" / "model.json"
    content = json.loads(path.read_text())
    assert content["model"]["facts"]["factory"] == "tests.training.own_models:make_net"
    content["model"]["facts"]["factory"] = "evil:run"
    path.write_text(json.dumps(content))
    signed(path.parent)
    (tmp_path / "evil.py").write_text("import os; os.mkdir('owned')\ndef run(a, b): pass\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="which holds its weights and not its code; got none. Hint: .*'evil:run'"):
        sy.load(tmp_path / "run")
    assert not (tmp_path / "owned").exists()
    sy.load(tmp_path / "run", factory=own_models.make_net)


def signed(folder):
    names = [line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text().splitlines()]
    sums = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(sums))


def test_the_wrong_factory_is_said(rows, tmp_path):
    sy.compare(*rows, ["balanced"], own_models.make_net, out=tmp_path / "run", **FAST)
    with pytest.raises(InputError, match="the factory that built the stored model; got another"):
        sy.load(tmp_path / "run", factory=own_models.make_linear)
    with pytest.raises(InputError, match="the factory of a torch model; got one of a scikit-learn model"):
        sy.load(tmp_path / "run", factory=own_models.forest)
    with pytest.raises(InputError, match="did you mean 'make_net'"):
        sy.load(tmp_path / "run", factory="tests.training.own_models:make_ent")


def test_a_factory_for_a_model_of_ours_is_refused(rows, tmp_path):
    sy.compare(*rows, ["balanced"], "linear", out=tmp_path / "run", **FAST)
    with pytest.raises(InputError, match="holds a model of Steelyard's"):
        sy.load(tmp_path / "run", factory=own_models.make_net)


def test_types_that_skops_does_not_trust_are_named_first(rows, tmp_path):
    result = sy.compare(*rows, ["balanced"], own_models.forest, out=tmp_path / "run", **FAST)
    with pytest.raises(InputError, match=r"your trust in the types .*; got 'sklearn.tree._tree.Tree'"):
        sy.load(tmp_path / "run")
    again = sy.load(tmp_path / "run", trusted=["sklearn.tree._tree.Tree"])
    np.testing.assert_array_equal(again.predict_proba(rows[0]), result.model.predict_proba(rows[0]))


def test_a_hostile_skops_file_runs_nothing(rows, tmp_path):
    """A file that asks for os.mkdir: it is named, and neither called nor imported."""
    import io
    import zipfile

    sy.compare(*rows, ["balanced"], GaussianNB(), out=tmp_path / "run", **FAST)
    folder = tmp_path / "run" / "model"
    with zipfile.ZipFile(io.BytesIO(load_file(folder / "arrays.safetensors")["skops"].tobytes())) as archive:
        schema = json.loads(archive.read("schema.json"))
    evil = {
        "__class__": "mkdir",
        "__module__": "os",
        "__loader__": "ReduceNode",
        "__id__": 1,
        "__reduce__": {
            "args": {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": '"x"'}
        },
        "content": None,
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(evil | {k: schema[k] for k in ("protocol", "_skops_version")}))
    save_file({"skops": np.frombuffer(buffer.getvalue(), np.uint8)}, folder / "arrays.safetensors")
    signed(folder)
    with pytest.raises(InputError, match="mkdir|undamaged"):
        sy.load(folder)
    with pytest.raises(InputError):
        sy.load(folder, trusted=["sklearn.tree._tree.Tree"])
    assert not (tmp_path / "x").exists()


def test_a_class_of_the_users_own_needs_trust_by_name(rows, tmp_path):
    result = sy.compare(*rows, ["balanced"], Taught(), out=tmp_path / "run", **FAST)
    with pytest.raises(InputError, match="your trust in the types .*Taught"):
        sy.load(tmp_path / "run")
    name = f"{Taught.__module__}.Taught"
    again = sy.load(tmp_path / "run", trusted=[name])
    np.testing.assert_array_equal(again.predict_proba(rows[0]), result.model.predict_proba(rows[0]))


def test_what_cannot_be_stored_is_said_and_the_results_are_there(rows, tmp_path):
    class Local(GaussianNB):
        def fit(self, X, y, sample_weight=None):
            self.lock_ = threading.Lock()  # skops writes it, and cannot read it again
            return super().fit(X, y, sample_weight)

    with pytest.warns(UserWarning, match="the model is not stored. Expected a scikit-learn classifier that skops can"):
        result = sy.compare(*rows, ["balanced"], Local(), out=tmp_path / "run", **FAST)
    assert (tmp_path / "run" / "results.json").is_file()
    assert not (tmp_path / "run" / "model").exists()
    assert result.model.predict_proba(rows[0]).shape == (240, 2)


def test_a_resumed_comparison_notices_other_code(rows, tmp_path, monkeypatch):
    sy.compare(*rows, ["balanced"], own_models.make_net, out=tmp_path / "run", **FAST)
    sy.compare(*rows, ["balanced"], own_models.make_net, out=tmp_path / "run", resume=True, **FAST)
    monkeypatch.setattr(own_models, "WIDTH", 9)
    with pytest.raises(InputError, match="the same settings as when"):
        sy.compare(*rows, ["balanced"], own_models.make_net, out=tmp_path / "run", resume=True, **FAST)
