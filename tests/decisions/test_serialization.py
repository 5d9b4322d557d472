import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import steelyard as sy
from steelyard.decisions import LabelThresholds, PlugIn, Threshold, TopAlarms
from steelyard.errors import InputError
from tests.decisions.scored import three, two

GOOD = sy.decisions.fit(*two(200, 0.2), constraints=["recall_sick>=0.5"]).to_dict()
WEIGHTED = sy.decisions.fit(*three(300)).to_dict()


@pytest.mark.parametrize(
    "rule",
    [
        Threshold(0.3, 0),
        PlugIn(0.5, (0.7, 0.3)),
        PlugIn(0.0, (0.5, 0.5), (1.0, 2.0), ((0.0, 1.0), (3.0, 0.0))),
        TopAlarms(7),
        LabelThresholds((0.2, 1.5)),
    ],
)
def test_rules_of_indices_survive_json(rule):
    assert sy.decisions.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def changed(content, path, value):
    content = copy.deepcopy(content)
    inner = content
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["decision", "threshold"], "0.5; import os"),
        (["decision", "threshold"], float("nan")),
        (["decision"], {"rule": "__import__"}),
        (["decision"], {"rule": "fitted"}),
        (["decision"], {"rule": "plug_in", "tau": 1.0, "priors": [0.5, 0.3, 0.2], "factors": None}),
        (["decision"], None),
        (["classes"], [["a"], "b"]),
        (["classes"], ["a", "a"]),
        (["classes"], ["a"]),
        (["classes"], "ab"),
        (["positive"], 5),
        (["confidence"], 7),
        (["comparisons"], []),
        (["comparisons", 1, "label"], 9),
        (["comparisons", 0, "after"], [1.0, 2.0]),
        (["warnings"], [{"x": 1}]),
        (["uncertainty"], [1]),
        (["promises", 0, "rows"], None),
        (["counts"], [1]),
        (["version"], 99),
    ],
)
def test_hostile_content_is_refused(path, value):
    with pytest.raises(InputError):
        sy.decisions.from_dict(changed(GOOD, path, value))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(sorted(GOOD)),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_whatever_stands_in_a_field_is_read_or_refused(value, key, weighted):
    content = changed(WEIGHTED if weighted else GOOD, [key], value)
    try:
        rule = sy.decisions.from_dict(content)
    except InputError:
        return
    n = len(content["classes"])
    assert rule(np.full((2, n), 1 / n)).shape == (2,)


@pytest.mark.parametrize("content", [[], "x", None, {}, {"rule": "fitted"}, {"rule": ["threshold"]}])
def test_what_is_no_rule_is_refused(content):
    with pytest.raises(InputError):
        sy.decisions.from_dict(content)
