"""The report as a browser sees it: labels are text there too, and nothing is wider than the page."""

import shutil
import subprocess

import numpy as np
import pytest

import steelyard as sy

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no browser installed")]

ATTACK = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"


def test_a_hostile_label_is_shown_and_not_run(tmp_path):
    rng = np.random.default_rng(0)
    y = np.where(rng.random(120) < 0.25, ATTACK, "well")
    X = rng.normal(size=(120, 2)) + (y == ATTACK)[:, None]
    page = sy.compare(X, y, ["balanced"], cv=3, repeats=1).report(tmp_path / "report.html")
    seen = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert "<title>Steelyard: comparison</title>" in seen
    assert "<img" not in seen
    assert "&lt;img src=x" in seen
