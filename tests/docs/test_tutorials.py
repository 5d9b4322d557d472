"""Every tutorial runs without an error or a warning, and its key numbers are what its text says."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))
Page = dict[str, Any]


def weighted_cross_entropy(page: Page, printed: str) -> None:
    assert page["agreements"] >= 50

    assert page["balanced"] == pytest.approx([2.0404, 0.9266, 0.5690, 1.4853], abs=1e-4)
    assert page["log_inverse"] == pytest.approx([3.0994, 2.3101, 1.8224, 2.7820], abs=1e-4)
    assert page["unit_sum"].sum() == pytest.approx(1.0)

    # one row, two meanings of "weights into the logits"; one data set, three means
    assert (round(page["one"], 2), round(page["two"], 2)) == (1.10, 2.09)
    assert [round(float(page[name]), 2) for name in "abc"] == [1.41, 3.67, 4.58]

    # 31,000 against 500,000
    assert page["pos_weight"] == pytest.approx(16.129, abs=1e-3)
    assert page["prior"] == pytest.approx(0.05838, abs=1e-5)
    accuracy, auc, brier, mean = zip(*page["results"].values(), strict=True)
    plain, moved, weighted, repaired = accuracy
    assert plain < 0.6
    assert moved == pytest.approx(weighted, abs=0.005)
    assert weighted > 0.74
    assert repaired == pytest.approx(weighted, abs=1e-6)
    assert max(auc) - min(auc) < 0.005
    assert brier[2] > 3 * brier[0]
    assert brier[3] == pytest.approx(brier[0], abs=0.002)
    assert mean[2] > 5.5 * page["t_test"].mean()
    assert mean[3] == pytest.approx(page["t_test"].mean(), abs=0.002)

    # the weighted mean of a small batch
    assert [round(page["biased"][n], 3) for n in (1, 8, 32, 256)] == [0.020, 0.131, 0.314, 0.475]
    assert page["by_batch"] == pytest.approx((1 - 2 * page["biased"][32]) / 2, abs=0.01)
    assert page["by_constant"] == pytest.approx(0.0, abs=0.01)

    assert page["at_zero"] == (0.0, -8.0)  # TensorFlow's gradient at a logit of 0, and the right one
    assert page["traces"] == 1
    assert "mask × loss nan, ignore_index 0.486" in printed
    assert "PyTorch nan, Steelyard 0.000, gradient 0.0" in printed


def long_tailed_vocabulary(page: Page, printed: str) -> None:
    assert len(page["vocabulary"]) > 1500
    before, adjusted = (page["results"][name] for name in ("as before", "logit adjustment"))
    assert adjusted[0] < before[0]  # frequent words are found less often,
    assert adjusted[1] > before[1]  # rarer ones more,
    assert adjusted[2] > 1.5 * before[2]
    assert adjusted[3] > before[3] + 0.1  # the softmax is no probability of the next word any more,
    assert adjusted[4] == pytest.approx(before[4], abs=0.05)  # the posterior is
    assert page["difference"] < 1e-5


def many_classes(page: Page, printed: str) -> None:
    recalls = page["recalls"]
    plain, weighted, focal, adjusted = (recalls[name][2] for name in page["losses"])
    assert max(plain, focal) < 0.25
    assert plain + 0.1 < weighted < adjusted - 0.1
    assert recalls["logit adjustment"][0] >= 0.99
    assert page["difference"] < 1e-5
    assert "127 MiB; a workspace of 16 MiB" in printed


NUMBERS: dict[str, Callable[[Page, str], None]] = {
    "long_tailed_vocabulary": long_tailed_vocabulary,
    "many_classes": many_classes,
    "weighted_cross_entropy": weighted_cross_entropy,
}


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda p: p.stem)
def test_tutorial(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = runpy.run_path(str(path), run_name="__main__")
    NUMBERS[path.stem](page, capsys.readouterr().out)
    assert not list(tmp_path.iterdir()), "a tutorial leaves nothing behind"


def test_every_tutorial_is_found() -> None:
    assert {path.stem for path in TUTORIALS} == set(NUMBERS)
