"""The guides run as they stand, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, python_blocks, run

GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_guide(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = python_blocks(page)
    assert blocks, "a guide shows how"
    monkeypatch.chdir(tmp_path)  # whatever an example writes
    run(blocks)


@pytest.mark.parametrize("page", GUIDES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_tables_of_which_weights_are_those_that_the_study_wrote() -> None:
    page = (ROOT / "docs" / "guides" / "which_weights.md").read_text(encoding="utf-8")
    written = (ROOT / "benchmarks" / "studies" / "results" / "tuned_decisions.md").read_text(encoding="utf-8")
    rows = [line for line in written.splitlines() if line.startswith("|")]
    assert len(rows) == 36
    for row in rows:
        assert row in page
