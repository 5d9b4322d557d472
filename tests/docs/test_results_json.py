"""docs/results_json.md and the results that are written say the same: every key, and of which type."""

import re
from pathlib import Path

import numpy as np
import pytest

import steelyard as sy

PAGE = (Path(__file__).parents[2] / "docs" / "results_json.md").read_text()
# keys that are names of metrics, libraries, strategies, models, or of a rule's own numbers
FREE = {"versions", "backends", "parameters", "model_options", "own_models", "metrics", "rule"}
TYPES = {
    "text": (str,), "whole number": (int,), "number": (int, float), "list": (list,), "object": (dict,),
    "label": (str, int, float), "true or false": (bool,),
}  # fmt: skip


def documented():
    found = {}
    for part in re.split(r"^## ", PAGE, flags=re.M)[1:]:
        rows = re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|(.*)\|$", part, re.M)
        found[part.split("\n")[0]] = {
            key: (kind, meaning.strip().startswith("optional")) for key, kind, meaning in rows
        }
    return found


DOCUMENTED = documented()


def walk(value, place="results"):
    """Yield (section, object) for every object whose keys are fixed."""
    if isinstance(value, dict):
        yield place, value
        for key, inner in value.items():
            if key not in FREE:
                yield from walk(inner, f"{place}.{key}")
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, dict):
                yield from walk(inner, f"{place}[]")


@pytest.fixture(scope="module")
def written():
    rng = np.random.default_rng(0)
    contents = []
    for n_classes, options in (
        (2, {"costs": [[0, 1], [5, 0]]}),
        (2, {"metric": "precision@recall>=0.8"}),
        (3, {}),
        (32, {"decisions": "default"}),
    ):
        y = np.repeat(np.arange(n_classes), np.linspace(12, 40, n_classes).astype(int))
        X = rng.normal(size=(len(y), 3)) + y[:, None] % 5
        given = ["balanced", "smote", "focal"]
        contents.append(sy.compare(X, y, given, model=("linear",), cv=3, repeats=1, **options).to_dict())
    contents[0]["skipped"].append({"model": "linear", "strategy": "x", "reason": "none was skipped in so small a run"})
    return contents


def test_what_is_written_is_documented(written):
    for content in written:
        for place, entry in walk(content):
            keys = DOCUMENTED[place]
            missing = {k for k, (_, optional) in keys.items() if not optional} - set(entry)
            if place == "results.views.curves[].band" and not entry:
                continue
            assert set(entry) <= set(keys), f"{place}: not documented"
            assert not missing, f"{place}: documented and not written"
            for key, value in entry.items():
                kinds = TYPES[keys[key][0]]
                assert value is None or isinstance(value, kinds), f"{place}.{key}"
                assert bool in kinds or not isinstance(value, bool)


def test_what_is_documented_is_written_somewhere(written):
    seen = {place for content in written for place, _ in walk(content)}
    assert seen == set(DOCUMENTED)


def test_every_row_of_its_tables_is_read():
    assert sum(map(len, DOCUMENTED.values())) == len(re.findall(r"^\| `", PAGE, re.M))
