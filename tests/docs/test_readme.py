"""The code of README.md and of the decisions runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, python_blocks, run

DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))


def test_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = python_blocks(ROOT / "README.md")
    assert len(blocks) >= 2, "the first screen shows Keras and torch"
    monkeypatch.chdir(tmp_path)  # whatever an example writes
    run(blocks)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda p: p.stem)
def test_decision(page: Path) -> None:
    run(python_blocks(page))


def test_decisions_are_numbered_without_gaps_and_fit_a_screen() -> None:
    assert [int(p.name[:4]) for p in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    for page in DECISIONS:
        lines = page.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith(f"# {int(page.name[:4])}. ")
        assert len(lines) <= 60, page.name


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_to_files_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target
