"""The report as a browser sees it: labels are text there too, and nothing is wider than the page."""

import json
import re
import shutil
import struct
import subprocess
from html import escape, unescape

import numpy as np
import pytest

import steelyard as sy
from steelyard.report import render
from tests.report.synthetic import results

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no browser installed")]

ATTACK = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
# the page forbids scripts, so they are asked of a copy that does not; a window cannot be as narrow as a telephone, a
# frame can
FRAME = """<!doctype html><body style="margin:0"><iframe style="border:0;width:{width}px;height:900px" srcdoc="{page}">
</iframe><script>onload = () => {{
const page = document.querySelector("iframe").contentDocument, frame = page.documentElement;
const wide = [...page.querySelectorAll("main *")].filter(e => !e.closest(".scroll, .hidden, caption, svg")
  && e.getBoundingClientRect().right > frame.clientWidth + 0.5);
const table = [...page.querySelectorAll("table.rank")].at(-1);
table.scrollIntoView();
page.defaultView.scrollBy(0, table.getBoundingClientRect().height / 2);
document.title = JSON.stringify({{"window": frame.clientWidth, "page": frame.scrollWidth,
  "wide": wide.slice(0, 5).map(e => `${{e.tagName}}.${{e.className}}: ${{e.textContent.trim().slice(0, 40)}}`),
  "head": Math.round(table.tHead.getBoundingClientRect().top),
  "table": Math.round(table.getBoundingClientRect().top)}});
}}</script></body>"""


def browser(folder, page, *arguments):
    return subprocess.run(
        [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments, page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


def measured(folder, html, width, opened):
    """Lay the page out in a frame of this width and say what sticks out."""
    asked = re.sub(r"<meta http-equiv[^>]*>", "", html)
    if opened:
        asked = asked.replace("<details", "<details open")
    page = folder / "asked.html"
    page.write_text(FRAME.format(width=width, page=escape(asked)))
    dom = browser(folder, page, "--dump-dom", f"--window-size={width + 100},1000")
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", dom)[1]))


@pytest.fixture(scope="module", params=["two classes", "seven classes", "forty classes", "long names"])
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


@pytest.mark.parametrize("width", [360, 390, 800, 1200])
def test_nothing_is_wider_than_the_page(tmp_path, html, width):
    for opened in (False, True):
        seen = measured(tmp_path, html, width, opened)
        assert seen["window"] == width
        assert seen["wide"] == []
        assert seen["page"] == width
        assert seen["head"] == 0 or seen["table"] > -200, "the head of a table that is scrolled through stays in sight"


@pytest.mark.parametrize("width", [390, 1200])
def test_it_can_be_photographed_light_and_dark(tmp_path, html, width):
    page = tmp_path / "report.html"
    page.write_text(html)
    pictures = []
    for scheme in ((), ("--force-dark-mode", "--blink-settings=preferredColorScheme=0")):
        picture = tmp_path / f"picture-{len(pictures)}.png"
        browser(tmp_path, page, f"--window-size={width},1400", f"--screenshot={picture}", *scheme)
        pictures.append(picture.read_bytes())
        assert struct.unpack(">II", pictures[-1][16:24]) == (width, 1400)  # the size in a PNG's header
        assert len(pictures[-1]) > 20_000  # an empty page is a few thousand bytes
    assert pictures[0] != pictures[1]


def test_all_of_it_is_printed(tmp_path, html):
    """Folded parts too: a printed page cannot be unfolded."""
    page = tmp_path / "report.html"
    sizes = []
    without = re.sub(r"<details.*?</details>", "", html, flags=re.DOTALL)
    for text in (html, html.replace("<details", "<details open"), without):
        page.write_text(text)
        browser(tmp_path, page, f"--print-to-pdf={tmp_path / 'report.pdf'}")
        sizes.append(len(re.findall(rb"/Type\s*/Page\b", (tmp_path / "report.pdf").read_bytes())))
    assert abs(sizes[0] - sizes[1]) <= 1
    assert sizes[0] > sizes[2]


def test_a_hostile_label_is_shown_and_not_run(tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.25, ATTACK, "well")
    X = rng.normal(size=(120, 2)) + (y == ATTACK)[:, None]
    page = sy.compare(X, y, ["balanced"], model="linear", cv=3, repeats=1).report(tmp_path / "report.html")
    seen = browser(tmp_path, page, "--dump-dom")
    assert "<title>Steelyard: comparison</title>" in seen
    assert "<img" not in seen
    assert "&lt;img src=x" in seen


def test_a_script_that_got_in_all_the_same_would_not_run(tmp_path, html):
    page = tmp_path / "report.html"
    page.write_text(html.replace("</main>", "<script>document.title = 'run'</script></main>"))
    assert "<title>run</title>" not in browser(tmp_path, page, "--dump-dom")
