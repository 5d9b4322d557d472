"""Trees in JSON from a file that anyone can have written: written anew from what was looked at, or refused.

The readers of XGBoost and CatBoost believe their text: a child, feature or leaf out of range makes them read outside
their memory. So they are handed texts that are made here, of numbers that were checked here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from steelyard.errors import InputError

__all__ = ["catboost", "xgboost"]

_ROOT = 2**31 - 1  # the parent of a root, for XGBoost
_OBJECTIVES = ("binary:logistic", "multi:softprob", "multi:softmax", "reg:squarederror")  # two stand for ours
_DEPTH = 16  # the most that CatBoost grows


def xgboost(text: str, n_classes: int) -> str:
    """Return trees that XGBoost can read without harm.

    Parameters
    ----------
    text : str
        JSON as from ``Booster.save_raw("json")``.
    n_classes : int

    Returns
    -------
    str
        JSON with the same trees, and nothing else that a file said.

    Raises
    ------
    InputError
        If a part is missing, or not of the size or range that the others ask for.
    """
    content = _mapping(json.loads(text), "trees of XGBoost")
    learner = _mapping(content.get("learner"), "a learner")
    param = _mapping(learner.get("learner_model_param"), "parameters")
    name = _mapping(learner.get("objective"), "an objective").get("name")
    if name not in _OBJECTIVES:
        raise InputError(f"an objective among {', '.join(_OBJECTIVES)}", repr(name)[:80])
    groups = 1 if n_classes == 2 else n_classes
    features = _index(int(str(param.get("num_feature"))[:9]), 1, 2**24, "num_feature")
    base = [_number(v, "base_score") for v in json.loads(str(param.get("base_score"))[:100_000])]
    if len(base) not in (1, groups):
        raise InputError(f"base_score of {groups} numbers", str(len(base)))
    booster = _mapping(learner.get("gradient_booster"), "a booster")
    if booster.get("name") != "gbtree":
        raise InputError("the booster 'gbtree'", repr(booster.get("name"))[:80])
    given = _list(_mapping(booster.get("model"), "a model").get("trees"), "trees")
    if not given or len(given) % groups:
        raise InputError(f"trees in groups of {groups}", f"{len(given)} trees")
    trees = [_tree(_mapping(tree, f"tree {place}"), place, features) for place, tree in enumerate(given)]
    version = [_index(v, 0, 1000, "version") for v in _list(content.get("version"), "version", 3)]
    several = {"softmax_multiclass_param": {"num_class": str(n_classes)}}
    single = {"reg_loss_param": {"scale_pos_weight": "1"}}
    model = {
        "cats": {"enc": [], "feature_segments": [], "sorted_idx": []},
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": str(len(trees))},
        "iteration_indptr": list(range(0, len(trees) + 1, groups)),
        "tree_info": [place % groups for place in range(len(trees))],
        "trees": trees,
    }
    written = {
        "learner": {
            "attributes": {},
            "feature_names": [],
            "feature_types": [],
            "gradient_booster": {"model": model, "name": "gbtree"},
            "learner_model_param": {
                "base_score": json.dumps(base),
                "boost_from_average": "1",
                "num_class": "0" if groups == 1 else str(groups),
                "num_feature": str(features),
                "num_target": "1",
            },
            "objective": {"name": name, **(several if name.startswith("multi:") else single)},
        },
        "version": version,
    }
    return json.dumps(written, allow_nan=False, separators=(",", ":"))


def _tree(tree: Mapping[str, Any], place: int, features: int) -> dict[str, Any]:
    left = _list(tree.get("left_children"), f"left_children of tree {place}")
    n = len(left)
    right = _list(tree.get("right_children"), f"right_children of tree {place}", n)
    parents = [_ROOT] * n
    for node, pair in enumerate(zip(left, right, strict=True)):
        if pair == (-1, -1):
            continue
        for child in pair:
            # a split comes before those below it, so that there is no way round in a circle
            _index(child, node + 1, n, f"children of tree {place}")
            if parents[child] != _ROOT:
                raise InputError(f"one parent for each node of tree {place}", "two")
            parents[child] = node
    if not n or parents[1:].count(_ROOT):
        raise InputError(f"a root and nothing beside it in tree {place}", f"{n} nodes")
    split = [_index(v, 0, features, f"features of tree {place}") for v in _list(tree.get("split_indices"), "splits", n)]
    where = [_number(v, f"thresholds of tree {place}") for v in _list(tree.get("split_conditions"), "thresholds", n)]
    missing = [_index(v, 0, 2, f"default_left of tree {place}") for v in _list(tree.get("default_left"), "sides", n)]
    return {
        "base_weights": [0.0] * n,
        "categories": [],
        "categories_nodes": [],
        "categories_segments": [],
        "categories_sizes": [],
        "default_left": missing,
        "id": place,
        "left_children": left,
        "loss_changes": [0.0] * n,
        "parents": parents,
        "right_children": right,
        "split_conditions": where,
        "split_indices": split,
        "split_type": [0] * n,
        "sum_hessian": [0.0] * n,
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(features),
            "num_nodes": str(n),
            "size_leaf_vector": "1",
        },
    }


def catboost(text: str, n_classes: int) -> str:
    """Return trees that CatBoost can read without harm.

    Parameters
    ----------
    text : str
        JSON as from ``save_model(path, format="json")``.
    n_classes : int

    Returns
    -------
    str
        JSON with the same trees, and nothing else that a file said; without CatBoost's random name of a model.

    Raises
    ------
    InputError
        If a part is missing, or not of the size or range that the others ask for.
    """
    content = _mapping(json.loads(text), "trees of CatBoost")
    groups = 1 if n_classes == 2 else n_classes
    scale, bias = _list(content.get("scale_and_bias"), "scale_and_bias", 2)
    if scale != 1:
        raise InputError("scale 1", repr(scale)[:40])
    bias = [_number(v, "bias") for v in _list(bias, "bias", groups)]
    given = _list(_mapping(content.get("features_info"), "features").get("float_features"), "float_features")
    borders = []
    for place, feature in enumerate(given):
        found = _mapping(feature, f"feature {place}")
        if (found.get("feature_index"), found.get("flat_feature_index")) != (place, place) or found.get("has_nans"):
            raise InputError(f"feature {place} of numbers, none of them missing", "another")
        own = [_number(v, "borders") for v in _list(found.get("borders") or [], "borders")]
        if sorted(set(own)) != own:
            raise InputError(f"borders of feature {place} in their order", "others")
        borders.append(own)
    before = [0, *accumulate(map(len, borders))]
    trees = []
    for place, tree in enumerate(_list(content.get("oblivious_trees"), "trees")):
        found = _mapping(tree, f"tree {place}")
        splits = []
        for split in _list(found.get("splits") or [], f"splits of tree {place}"):
            at = _mapping(split, "a split")
            feature = _index(at.get("float_feature_index"), 0, len(borders), f"features of tree {place}")
            border = at.get("border")
            if at.get("split_type") != "FloatFeature" or border not in borders[feature]:
                raise InputError(f"splits of tree {place} at borders of numbers", "others")
            index = before[feature] + borders[feature].index(border)
            splits.append(
                {"border": border, "float_feature_index": feature, "split_index": index, "split_type": "FloatFeature"}
            )
        leaves = 2 ** _index(len(splits), 0, _DEPTH + 1, f"splits of tree {place}")
        values = _list(found.get("leaf_values"), f"leaves of tree {place}", groups * leaves)
        trees.append({"leaf_values": [_number(v, "leaves") for v in values], "splits": splits})
    if not trees:
        raise InputError("trees", "none")
    written = {
        "features_info": {
            "float_features": [
                {
                    "borders": own,
                    "feature_id": "",
                    "feature_index": place,
                    "flat_feature_index": place,
                    "has_nans": False,
                    "nan_value_treatment": "AsIs",
                }
                for place, own in enumerate(borders)
            ]
        },
        "model_info": {},
        "oblivious_trees": trees,
        "scale_and_bias": [1, bias],
    }
    return json.dumps(written, allow_nan=False, separators=(",", ":"))


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(what, type(value).__name__)
    return value


def _list(value: Any, what: str, size: int | None = None) -> Sequence[Any]:
    if not isinstance(value, list) or (size is not None and len(value) != size):
        got = f"{len(value)}" if isinstance(value, list) else type(value).__name__
        raise InputError(f"{what} as a list" + ("" if size is None else f" of {size}"), got)
    return value


def _number(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{what} as finite numbers", repr(value)[:40])
    return float(value)


def _index(value: Any, first: int, end: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not first <= value < end:
        raise InputError(f"{what} in [{first}, {end})", repr(value)[:40])
    return value
