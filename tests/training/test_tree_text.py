"""Trees that a stranger wrote: LightGBM's own reader crashes on these, or reads beyond its memory."""

import re

import lightgbm as lgb
import numpy as np
import pytest

from steelyard.errors import InputError
from steelyard.training.boosted import BoostedTrees
from steelyard.training.tree_text import checked

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 5))
Y = (X[:, 0] + RNG.normal(size=400) > 0).astype(int)


def grown(n_classes=2, **parameters):
    objective = {"objective": "binary"} if n_classes == 2 else {"objective": "multiclass", "num_class": n_classes}
    y = Y if n_classes == 2 else RNG.integers(0, n_classes, len(Y))
    return lgb.train({**objective, "verbose": -1, **parameters}, lgb.Dataset(X, y), 3)


TEXT = grown().model_to_string()


@pytest.mark.parametrize(
    ("n_classes", "parameters"), [(2, {}), (4, {}), (2, {"num_leaves": 2}), (3, {"min_data_in_leaf": 300})]
)
def test_what_lightgbm_writes_is_read_as_it_was(n_classes, parameters):
    booster = grown(n_classes, **parameters)
    again = lgb.Booster(model_str=checked(booster.model_to_string(), n_classes))
    np.testing.assert_array_equal(again.predict(X, raw_score=True), booster.predict(X, raw_score=True))


def changed(key, change):
    """Change the first list of a key, and say the sizes of the trees anew, as a careful stranger would."""
    text = re.sub(rf"^{key}=(.*)$", lambda m: f"{key}={change(m[1].split())}", TEXT, count=1, flags=re.MULTILINE)
    assert text != TEXT
    blocks = re.split(r"^(?=Tree=)", text.partition("\nend of trees\n")[0] + "\n", flags=re.MULTILINE)[1:]
    if key == "tree_sizes":
        return text
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    return re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", text, flags=re.MULTILINE)


def first(value):
    return lambda values: " ".join([value, *values[1:]])


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("left_child", first("0")),  # round in a circle, for ever
        ("left_child", first("999999")),
        ("right_child", first("-999999")),
        ("right_child", first("1e3")),
        ("split_feature", first("5")),
        ("split_feature", first("-1")),
        ("decision_type", first("1")),
        ("num_leaves", lambda _: "999999999"),
        ("num_leaves", lambda _: "0"),
        ("num_leaves", lambda _: "-5"),
        ("num_cat", lambda _: "3"),
        ("is_linear", lambda _: "1"),
        ("leaf_value", lambda values: " ".join(values[:2])),
        ("leaf_value", first("__import__('os')")),
        ("threshold", lambda _: ""),
        ("internal_count", first("x")),
        ("tree_sizes", first("99999999")),
        ("num_class", lambda _: "0"),
        ("num_class", lambda _: "3"),
        ("num_tree_per_iteration", lambda _: "1000"),
        ("max_feature_idx", lambda _: "999999"),
        ("feature_names", lambda _: "a"),
        ("shrinkage", lambda _: "1\nleaf_value=1"),
        ("version", lambda _: "v4\nexec=1"),
    ],
)
def test_what_does_not_fit_together_is_refused(key, change):
    with pytest.raises(InputError):
        checked(changed(key, change), 2)


@pytest.mark.parametrize(
    "text", ["", "tree", "tree\n", TEXT[: len(TEXT) // 3], TEXT.replace("Tree=1", "Tree=7"), "x" * 9]
)
def test_what_is_no_model_is_refused(text):
    with pytest.raises(InputError):
        checked(text, 2)


def test_a_start_of_the_wrong_shape_is_refused():
    with pytest.raises(InputError, match="a start of shape"):
        BoostedTrees.from_state({"text": TEXT, "n_classes": 2}, {"start": np.zeros(7)})
