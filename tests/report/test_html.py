import copy
import re
from base64 import b64encode
from hashlib import sha256

import pytest

from steelyard.report import render
from tests.report.conftest import compared
from tests.report.page import Page
from tests.report.synthetic import results

EVIL = "<script>alert('x')</script>"


def content_of(which, request):
    value = request.getfixturevalue(which)
    return value if isinstance(value, dict) else value.to_dict()


@pytest.fixture(params=["two", "three", "large", "many"])
def content(request):
    return content_of(request.param, request)


def test_the_page_is_well_formed_and_needs_nothing_else(content):
    html = render(content)
    page = Page(html)
    names = [tag for tag, _ in page.tags]
    assert not {"link", "img", "iframe", "object", "form", "base"} & set(names)
    assert not any("src" in a or any(key.startswith("on") for key in a) for _, a in page.tags)
    assert not re.search(r"https?:|//|url\(|@import", html.replace(page.script, ""))
    assert not re.search(r"http|fetch|XMLHttp|import\(|Socket|sendBeacon|Image|eval|innerHTML", page.script)
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv") == "Content-Security-Policy")
    known = b64encode(sha256(page.script.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{known}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_links_and_labels_lead_somewhere_in_the_page(content):
    page = Page(render(content))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"] for a in page.named("a")} <= {f"#{name}" for name in ids}
    assert {a["href"] for a in page.named("a")} == {f"#{a['id']}" for a in page.named("section") if "id" in a}
    for _, attributes in page.tags:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)


def test_tables_and_pictures_can_be_heard(content):
    page = Page(render(content))
    names = [tag for tag, _ in page.tags]
    assert names.count("table") == names.count("caption") > 0
    for _, tag, attributes, text in page.cells:
        assert tag == "td" or "scope" in attributes or text.strip() in ("", "true ↓ labelled →"), text
    for attributes in page.named("svg"):
        assert attributes.get("aria-hidden") == "true" or attributes.get("role") == "img"
    drawn = [a for a in page.named("svg") if a.get("role") == "img"]
    assert len(drawn) == names.count("desc") > 0


def test_the_page_says_what_was_found(two):
    content = two.to_dict()
    words = Page(render(content)).words
    for name in content["settings"]["strategies"]:
        assert name in words
    best = content["best"]
    assert f"best by its mean {best['strategy']}" in words
    assert f"expect on new rows {best['estimate']:.3f} {best['metric']}, 95 % interval" in words
    row = next(r for r in content["summary"] if r["strategy"] == "balanced" and r["metric"] == "balanced_accuracy")
    assert f"{row['mean']:.3f} {row['ci_low']:.3f} to {row['ci_high']:.3f}" in words
    assert "no detectable difference" in words
    assert "column 'fixed' is left out: it is constant" in words
    assert "positive class sick" in words
    assert "Decision tuned inside the training folds" in words


def written(value, *digits):
    """A number in every way that the page may write it."""
    if value is None:
        return set()
    texts = set()
    for d in digits:
        text = f"{value:.{d}f}".replace("-", "−")
        texts |= {text, f"+{text}", text.lstrip("−")}
    return texts


def of_class(entry, k, count, repeats):
    """Recall, precision and F1 of a class, and the counts behind them, in every way that the page may write them."""
    found, labelled = entry["found"][k], entry["labelled"][k]
    shares = {found / (count * repeats), found / labelled if labelled else None}
    shares.add(2 * found / (count * repeats + labelled))
    rows = {count, found / repeats, labelled / repeats}
    return {t for s in shares for t in written(s, 3)} | {f"{n:,.{d}f}" for n in rows for d in (0, 1)}


def test_every_number_in_the_tables_is_one_of_the_results(content):
    page = Page(render(content))
    of_metrics, recalls, classes = set(), set(), set()
    counts = content["dataset"]["counts"]
    for row in content["summary"]:
        for key in ("mean", "ci_low", "ci_high", "difference", "p_adjusted"):
            of_metrics |= written(row[key], 3, 4)
        if row["metric"].startswith("recall_"):
            recalls |= written(row["mean"], 2)
    for section in ("ranking-1", "ranking-2", "metrics"):
        assert page.numbers(section)
        assert page.numbers(section) <= of_metrics | {"0.001"}  # p < 0.001
    for entry in content["views"]["classes"]:
        classes |= {n for k in range(len(counts)) for n in of_class(entry, k, counts[k], content["views"]["repeats"])}
    assert page.numbers("classes")
    assert page.numbers("classes") <= recalls | classes


def test_models_are_ranked_each_against_its_own_baseline(large):
    page = Page(render(large))
    assert large["best"]["model"] == "lightgbm"
    words = page.words
    for k in (1, 2):
        heads = [text for where, tag, a, text in page.cells if where == f"ranking-{k}" and a.get("scope") == "rowgroup"]
        assert [h.split()[0] for h in heads] == ["lightgbm", "mlp", "linear"]
    assert "compared with none of the same model" in words
    groups = [a for a in page.named("details") if a.get("class") == "group"]
    assert sum("open" in a for a in groups) == 4  # of ranking twice, curves, classes: the best model
    expected = {
        (r["model"], r["strategy"]) for r in large["summary"] if r["metric"] == "average_precision"
    }  # the skipped ones are not among them
    names = [t for where, tag, a, t in page.cells if where == "ranking-1" and a.get("scope") == "row"]
    overview = len(names) - len(expected)
    assert 3 <= overview <= 6
    assert sum("best" in name.split() for name in names) == 2


def test_strategies_of_a_model_stand_from_best_to_worst(two):
    content = two.to_dict()
    means = {r["strategy"]: r["mean"] for r in content["summary"] if r["metric"] == "average_precision"}
    cells = Page(render(content)).cells
    names = [t.split()[0] for where, tag, a, t in cells if where == "ranking-1" and a.get("scope") == "row"]
    assert sorted(names) == sorted(means)
    assert [means[n] for n in names] == sorted(means.values(), reverse=True)


def test_where_lower_is_better_the_lowest_is_first_and_best(two):
    content = two.to_dict()
    for row in content["summary"]:
        if row["metric"] == "average_precision":
            row["metric"] = "expected_cost"
    content["settings"].update(metric="expected_cost")
    content["best"].update(metric="expected_cost")
    content["views"] = {}
    page = Page(render(content))
    means = {r["strategy"]: r["mean"] for r in content["summary"] if r["metric"] == "expected_cost"}
    names = [t.split()[0] for where, tag, a, t in page.cells if where == "ranking-1" and a.get("scope") == "row"]
    assert [means[n] for n in names] == sorted(means.values())
    assert "Lower is better" in page.words


def test_what_coincides_in_a_linear_model_is_said(two):
    words = Page(render(two.to_dict())).words
    assert "The bias of a linear model absorbs a constant per class" in words


def test_the_recall_of_each_class_stands_beside_its_rows(three):
    words = Page(render(three.to_dict())).words
    counts = dict(zip(three.to_dict()["dataset"]["classes"], three.to_dict()["dataset"]["counts"], strict=True))
    for label, rows in counts.items():
        assert f"{label} {rows} rows" in words


def test_hostile_names_are_text():
    result = compared(["ok", EVIL], features=('"><img src=x onerror=alert(1)>', "b"), strategies=["balanced"])
    content = result.to_dict()
    content["settings"]["data"] = "{{ 7 * 7 }}<b>.csv"
    content["warnings"].append("<u>warned</u>")
    content["skipped"].append({"strategy": "<i>", "reason": "</main>"})
    html = render(content)
    page = Page(html)
    assert [tag for tag, _ in page.tags].count("script") == 2  # the page's own, and its data
    assert not {"img", "u", "i"} & {tag for tag, a in page.tags if "class" not in a}
    assert EVIL in page.words
    assert "{{ 7 * 7 }}<b>.csv" in page.words
    assert "<u>warned</u>" in page.words


@pytest.mark.parametrize("n_classes", [2, 7, 40])
def test_hostile_labels_are_text_in_every_picture(n_classes):
    quotes = ['"><svg onload=alert(1)>', "'--><b>", EVIL, "</title></svg>", "</style>"]
    labels = [(quotes[k] if k < len(quotes) else f"class {k}") for k in range(n_classes)]
    content = results(n_classes, models=("linear", "</b>"), strategies=("none", "balanced"), rows=600, cv=3, repeats=1,
                      labels=labels)  # fmt: skip
    page = Page(render(content))
    assert not {"script", "b"} & {tag for tag, a in page.tags if "style" in a or "onload" in a}
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert not any("onload" in a for _, a in page.tags)
    assert labels[0] in page.words


def test_undefined_numbers_are_dashes(two):
    content = two.to_dict()
    for row in content["summary"]:
        if row["strategy"] == "focal":
            row.update(mean=None, ci_low=None, ci_high=None, difference=None, p_adjusted=None)
    content["best"].update(model=None, strategy=None, decision=None, estimate=None, ci_low=None, ci_high=None)
    words = Page(render(content)).words
    assert "–" in words
    assert "nan" not in words.lower()
    assert "None" not in words.replace("None of", "").replace("None and", "")


def test_results_of_another_version_with_an_unknown_strategy_still_give_a_page(two):
    content = copy.deepcopy(two.to_dict())
    for part in (content["runs"], content["summary"], *content["views"].values()):
        if not isinstance(part, list):
            continue
        for row in part:
            row["strategy"] = row["strategy"].replace("focal", "quantum")
    content["settings"]["strategies"] = [s.replace("focal", "quantum") for s in content["settings"]["strategies"]]
    assert "quantum" in Page(render(content)).words


def test_older_results_have_no_pictures(large):
    content = {key: value for key, value in large.items() if key != "views"}
    page = Page(render(content))
    assert "svg" not in [tag for tag, _ in page.tags]
    assert not {"#confusion", "#curves", "#explore"} & {a["href"] for a in page.named("a")}


def test_only_the_baseline(two):
    content = two.to_dict()
    for key in ("runs", "summary"):
        content[key] = [row for row in content[key] if row["strategy"] == "none"]
    for key in ("confusion", "classes", "curves", "thresholds", "rules", "reliability"):
        content["views"][key] = [row for row in content["views"][key] if row["strategy"] == "none"]
    content["settings"]["strategies"] = ["none"]
    content["best"].update(strategy="none", decision="default")
    Page(render(content))


def test_without_tuned_decisions(two):
    content = two.to_dict()
    for part in (content["summary"], content["views"]["confusion"], content["views"]["classes"]):
        part[:] = [row for row in part if row["decision"] == "default"]
    words = Page(render(content)).words
    assert "Tuned decisions were not part of this run" in words
    assert "tuned decision " not in words.split("What the numbers mean")[0].lower()


def test_a_large_page_stays_small(large, many):
    assert len(render(large)) < 600_000
    assert len(render(many)) < 600_000


def test_style_has_a_dark_and_a_printed_form(two):
    style = Page(render(two.to_dict())).style
    assert "color-scheme: light dark" in style
    assert "light-dark(" in style
    assert "@media print" in style
