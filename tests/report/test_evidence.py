import re

import pytest

from steelyard import strategies
from steelyard.report.content import metric_called
from steelyard.report.evidence import evidence
from steelyard.report.literature import _STATEMENTS, general, statements


def test_every_statement_is_about_strategies_that_there_are_and_names_where_to_find_it():
    for one in _STATEMENTS:
        assert set(one.about) <= set(strategies.names())
        assert re.search(r"\b(19|20)\d\d\b", one.source), one.source
    assert sum(bool(re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.", s.source)) for s in _STATEMENTS) >= 13
    assert general()


@pytest.mark.parametrize("name", strategies.names())
def test_something_is_known_of_every_strategy(name):
    assert statements(name)


def test_the_user_s_numbers_stand_beside_it(large):
    metrics = [metric_called(n, large) for n in ("average_precision", "balanced_accuracy")]
    found = {s["name"]: s for s in evidence(large, metrics, ["lightgbm", "mlp"])["strategies"]}
    assert list(found) == large["settings"]["strategies"]
    assert found["none"]["own"] == []
    own = found["balanced"]["own"]
    assert [(o["model"], o["metric"], o["decision"]) for o in own] == [
        (m, *which)
        for m in ("lightgbm", "mlp")
        for which in (
            ("average_precision", "default"),
            ("balanced_accuracy", "default"),
            ("balanced_accuracy", "tuned"),
        )
    ]
    assert [o["model"] for o in found["balanced"]["short"]] == ["lightgbm", "mlp"]
    row = next(r for r in large["summary"] if (r["model"], r["strategy"], r["metric"], r["decision"])
               == ("mlp", "balanced", "balanced_accuracy", "tuned"))  # fmt: skip
    assert own[-1]["verdict"] == row["verdict"]
    assert own[-1]["difference"].lstrip("+").replace("−", "-") == f"{row['difference']:.3f}"
    low, high = (float(v.replace("−", "-")) for v in own[-1]["interval"].strip("[]").split(", "))
    assert low <= row["difference"] <= high
