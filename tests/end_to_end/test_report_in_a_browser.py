"""The report as a browser sees it: its controls, its numbers, its widths, its colours; labels are text there too."""

import re
import shutil
from importlib.resources import files

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright

import steelyard as sy
from steelyard.report import render
from tests.report.synthetic import results

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed: apt-get install chromium")

ATTACK = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
STICKS_OUT = """() => {
  const frame = document.documentElement;
  const wide = [...document.querySelectorAll("main *")].filter(e => !e.closest(".scroll, .hidden, caption, svg, pre")
    && e.getBoundingClientRect().right > frame.clientWidth + 0.5);
  const table = [...document.querySelectorAll("table.rank")].at(-1);
  table.scrollIntoView();
  window.scrollBy(0, table.getBoundingClientRect().height / 2);
  return {page: frame.scrollWidth, window: frame.clientWidth,
    wide: wide.slice(0, 5).map(e => `${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`),
    head: Math.round(table.tHead.getBoundingClientRect().top), table: Math.round(table.getBoundingClientRect().top)};
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page in a window of its own; afterwards: nothing was asked of a network, and nothing went wrong."""
    contexts, troubles, asked = [], [], []

    def show(html, width=1200, trouble=(), **options):
        path = tmp_path / f"report-{len(contexts)}.html"
        path.write_text(html)
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda m: m.type in ("error", "warning") and troubles.append(m.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        show.expected = trouble
        return page

    show.expected = ()
    yield show
    for context in contexts:
        context.close()
    assert [t for t in troubles if not any(re.search(e, t) for e in show.expected)] == []
    assert [url for url in asked if not re.fullmatch(r"file:///.*/report-\d+\.html", url)] == []


def compared(labels, shares, **options):
    rng = np.random.default_rng(0)
    k = rng.choice(len(labels), size=300, p=shares)
    X = rng.normal(size=(300, 2)) + 1.2 * k[:, None]
    return sy.compare(
        X, np.array(labels, dtype=object)[k], ["balanced", "undersample"], model="linear", cv=3, **options
    )


@pytest.fixture(scope="module")
def two():
    return compared(["well", "sick"], [0.8, 0.2], repeats=2)


@pytest.fixture(scope="module")
def three():
    return compared(["well", "ill", "dying"], [0.6, 0.25, 0.15], repeats=1)


@pytest.fixture(
    scope="module",
    params=["two classes", "seven classes", pytest.param("forty classes", marks=pytest.mark.slow), "long names"],
)
def html(request):
    long = "a label that someone wrote as a whole sentence, without_any_space_in_the_end_of_it"
    given = {
        "two classes": {"n_classes": 2},
        "seven classes": {"n_classes": 7, "models": ("linear", "mlp")},
        "forty classes": {"n_classes": 40, "models": ("linear",), "strategies": ("none", "balanced", "focal")},
        "long names": {"n_classes": 3, "models": ("mlp",), "labels": [long + str(k) for k in range(3)]},
    }[request.param]
    content = results(rows=900, cv=3, repeats=1, **given)
    if request.param == "long names":
        content["settings"]["data"] = "x" * 200 + ".csv"
        content["warnings"].append("w" * 300)
    return render(content)


# --- the threshold explorer ------------------------------------------------------------------------------------


def number(page, name):
    """The first number of an element, as it is shown."""
    text = page.locator(f"#x-{name}").inner_text()
    return float(re.search(r"[\d,]+(\.\d+)?", text)[0].replace(",", ""))


def by_hand(result, strategy, label, threshold, alarm, miss, share):
    """What the page should say, counted from the out-of-fold scores."""
    content = result.to_dict()
    k = content["dataset"]["classes"].index(label)
    scores = result.out_of_fold["linear", strategy]
    repeats = len(scores.proba)
    truth = np.concatenate([result.truth == label] * repeats)
    flagged = scores.proba[:, :, k].ravel() >= threshold
    tp, fp = (truth & flagged).sum(), (~truth & flagged).sum()
    fn, tn = (truth & ~flagged).sum(), (~truth & ~flagged).sum()
    recall, rate = tp / truth.sum(), fp / (~truth).sum()
    found, false = share * recall, (1 - share) * rate
    return {
        "tp": tp / repeats, "fn": fn / repeats, "fp": fp / repeats, "tn": tn / repeats, "recall": recall,
        "precision": found / (found + false) if flagged.any() else np.nan, "f1": 2 * found / (found + false + share),
        "alarms": 1000 * (found + false), "cost": 1000 * (alarm * false + miss * share * (1 - recall)),
    }  # fmt: skip


def agrees(page, result, strategy, label, alarm, miss, share):
    expected = by_hand(result, strategy, label, number(page, "at"), alarm, miss, share)
    for name, value in expected.items():
        tolerance = 5e-4 if value < 1.5 and name in ("recall", "precision", "f1") else 0.051 if value < 100 else 0.51
        assert number(page, name) == pytest.approx(value, abs=tolerance), name
    return expected


def remembered(result, labels, shares):
    rng = np.random.default_rng(0)
    result.truth = np.array(labels, dtype=object)[rng.choice(len(labels), size=300, p=shares)]
    return result


def test_moving_the_slider_shows_what_counting_the_scores_shows(opened, two):
    remembered(two, ["well", "sick"], [0.8, 0.2])
    page = opened(render(two.to_dict()))
    share = (two.truth == "sick").mean()
    strategy = page.locator("#x-strategy").input_value()
    alarm, miss = number_of(page, "alarm"), number_of(page, "miss")
    slider = page.locator("#x-threshold")
    seen = set()
    last = int(slider.get_attribute("max"))
    for place in (1, 7, last // 3, last // 2, last - 1, last):
        slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", place)
        expected = agrees(page, two, strategy, "sick", alarm, miss, share)
        seen.add((expected["tp"], expected["fp"]))
        assert page.locator("#x-at").inner_text() in slider.get_attribute("aria-valuetext")
    assert len(seen) == 6


def number_of(page, name):
    return float(page.locator(f"#x-{name}").input_value())


def test_it_is_moved_with_keys_alone(opened, two):
    page = opened(render(two.to_dict()))
    page.locator("#x-threshold").focus()
    before = page.locator("#x-said").inner_text()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#x-said").inner_text() != before
    page.keyboard.press("Home")
    assert page.locator("#x-at").inner_text() == "above every row"
    assert number(page, "alarms") == 0
    assert page.locator("#x-precision").inner_text() == "–"
    page.keyboard.press("End")
    assert number(page, "alarms") == 1000
    assert number(page, "recall") == 1
    page.locator("#x-miss-range").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#x-miss-range").get_attribute("aria-valuetext") == page.locator("#x-miss").input_value()


def test_costs_the_share_and_the_strategy_change_what_follows_and_what_is_cheapest(opened, two):
    remembered(two, ["well", "sick"], [0.8, 0.2])
    page = opened(render(two.to_dict()))
    page.locator("#x-alarm").fill("3")
    page.locator("#x-miss").fill("50")
    page.locator("#x-prior").fill("2")
    for strategy in two.to_dict()["settings"]["strategies"]:
        page.locator("#x-strategy").select_option(strategy)
        page.get_by_role("button", name="cheapest").click()
        shown = agrees(page, two, strategy, "sick", 3.0, 50.0, 0.02)
        scores = np.unique(
            two.out_of_fold["linear", strategy].proba[:, :, two.to_dict()["dataset"]["classes"].index("sick")]
        )
        least = min(by_hand(two, strategy, "sick", t, 3.0, 50.0, 0.02)["cost"] for t in [*scores, 2.0])
        assert shown["cost"] == pytest.approx(least, rel=1e-9)  # the best of all thresholds, not of the stored ones
        assert "no other threshold is cheaper" in page.locator("#x-best").inner_text()
    page.get_by_role("button", name="0.5").click()
    assert number(page, "at") == 0.5
    agrees(page, two, strategy, "sick", 3.0, 50.0, 0.02)
    page.get_by_role("button", name="Back to the start").click()
    assert number_of(page, "prior") == pytest.approx(100 * (two.truth == "sick").mean(), rel=1e-3)


def test_more_classes_are_explored_one_against_the_rest(opened, three):
    remembered(three, ["well", "ill", "dying"], [0.6, 0.25, 0.15])
    page = opened(render(three.to_dict()))
    for label in ("ill", "dying", "well"):
        page.locator("#x-class").select_option(label)
        page.locator("#x-strategy").select_option("undersample")
        alarm, miss = number_of(page, "alarm"), number_of(page, "miss")
        agrees(page, three, "undersample", label, alarm, miss, (three.truth == label).mean())
        assert label in page.locator("#x-said").inner_text()


# --- other controls --------------------------------------------------------------------------------------------


def test_a_figure_is_read_with_keys_and_with_a_pointer_and_lines_can_be_hidden(opened, two):
    page = opened(render(two.to_dict()))
    figure = page.locator("figure.curves").first
    said = figure.locator("output")
    figure.locator("input[type=range]").focus()
    page.keyboard.press("End")
    assert said.inner_text().startswith("recall 1.00: none 0.")
    precision = two.to_dict()["views"]["curves"][0]["precision"][-1]
    assert f"none {precision:.2f}" in said.inner_text()
    box = figure.locator("svg[role=img]").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert re.match(r"recall 0\.\d\d: ", said.inner_text())
    figure.get_by_role("checkbox").first.uncheck()
    assert "none" not in said.inner_text()
    assert not figure.locator("g.of-0").is_visible()


def test_a_table_is_sorted_by_its_headings(opened, three):
    page = opened(render(three.to_dict()))
    table = page.locator("#classes table.sortable").first
    head = table.locator("thead th").nth(2)
    for direction in ("descending", "ascending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        values = [
            float(v) for v in table.locator("tbody td:nth-child(3)").evaluate_all("l => l.map(e => e.dataset.value)")
        ]
        assert values == sorted(values, reverse=direction == "descending")
    table.locator("thead th").first.get_by_role("button").click()
    assert table.locator("tbody th").all_inner_texts() == ["dying", "ill", "well"]


def test_code_is_copied_as_it_stands(opened, two):
    page = opened(render(two.to_dict()), permissions=["clipboard-read", "clipboard-write"])
    page.locator("button.copy").first.click()
    expect(page.locator("button.copy").first).to_have_text("Copied")
    code = page.evaluate("navigator.clipboard.readText()")
    assert code == page.locator("#paste pre").first.text_content()
    compile(code, "pasted", "exec")


def test_light_and_dark_follow_the_system_until_the_button_is_pressed(opened, two):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = opened(render(two.to_dict()), color_scheme="light")
    dark = opened(render(two.to_dict()), color_scheme="dark")
    white, black = light.evaluate(ground), dark.evaluate(ground)
    assert white != black
    light.locator("#theme").click()
    dark.locator("#theme").click()
    assert (light.evaluate(ground), dark.evaluate(ground)) == (black, white)
    light.locator("#theme").click()
    assert light.evaluate(ground) == white


# --- what everybody must be able to read ------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["two", "three"])
def test_axe_finds_nothing_serious(opened, request, which, scheme):
    html = render(request.getfixturevalue(which).to_dict()).replace("<details", "<details open")
    page = opened(html, color_scheme=scheme)
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 10
    serious = [
        (v["id"], v["impact"], [n["target"] for n in v["nodes"]][:3], v["nodes"][0].get("failureSummary"))
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("width", [320, 360, 400, 800, 1200])
def test_nothing_is_wider_than_the_page(opened, html, width):
    for unfolded in (False, True):
        seen = opened(html.replace("<details", "<details open") if unfolded else html, width).evaluate(STICKS_OUT)
        assert seen["window"] == width
        assert seen["wide"] == []
        assert seen["page"] == width
        assert seen["head"] == 0 or seen["table"] > -200, "the head of a table that is scrolled through stays in sight"


def test_without_scripts_the_page_says_so_and_shows_the_rest(opened, two):
    page = opened(render(two.to_dict()), java_script_enabled=False)
    assert page.get_by_text("This part needs scripts").is_visible()
    assert not page.locator(".explore").is_visible()
    assert page.locator("figure.curves g.of-0").first.is_visible()
    assert page.locator("#theme").is_hidden()


@pytest.mark.slow
def test_all_of_it_is_printed(opened, html):
    """Folded parts too: a printed page cannot be unfolded."""
    sizes = []
    without = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)
    for text in (html, html.replace("<details", "<details open"), without):
        pdf = opened(text, java_script_enabled=False).pdf()
        sizes.append(len(re.findall(rb"/Type\s*/Page\b", pdf)))
    assert abs(sizes[0] - sizes[1]) <= 1
    assert sizes[0] > sizes[2]


# --- strangers' text --------------------------------------------------------------------------------------------


def test_a_hostile_label_is_shown_and_not_run(opened, tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.25, ATTACK, "well")
    X = rng.normal(size=(120, 2)) + (y == ATTACK)[:, None]
    page = opened(render(sy.compare(X, y, ["balanced"], model="linear", cv=3, repeats=1).to_dict()))
    assert page.title() == "Steelyard: comparison"
    assert page.locator("img").count() == 0
    assert ATTACK in page.locator("#x-said").inner_text()
    page.get_by_role("button", name="best F1").click()
    page.locator("#classes .sort").first.click()
    assert page.title() == "Steelyard: comparison"


def test_a_script_that_got_in_all_the_same_would_not_run(opened, two):
    page = opened(
        render(two.to_dict()).replace("</main>", "<script>document.title = 'run'</script></main>"),
        trouble=["Content Security Policy"],
    )
    assert page.title() != "run"
