"""What a search for weights came to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steelyard.comparison.results import plain, write_text
from steelyard.decisions import Rule
from steelyard.decisions.rule_words import decision_in_words

if TYPE_CHECKING:
    from steelyard.comparison.classifier import Classifier

__all__ = ["FILE", "SCHEMA_VERSION", "TuneResult"]

SCHEMA_VERSION = 1
FILE = "tuning.json"


class TuneResult:
    """The accepted stage of a search, and the evidence.

    Attributes
    ----------
    stage : str
        The dearest stage that untouched folds accepted.
    estimate : dict
        "value", "ci_low", "ci_high" of the metric on new rows; with a floor, "floor" says how it was kept.
    class_weight : dict
        Label → weight, a row of the training data weighing 1 on average; all 1 where no weights were accepted.
    rule : dict or None
        The decision as JSON data; None: the arg max.
    model : Classifier
        A fitted scikit-learn classifier, trained on all rows.
    """

    def __init__(self, content: Mapping[str, Any], model: Classifier) -> None:
        self._content: dict[str, Any] = plain(content)
        self.model = model

    def __repr__(self) -> str:
        e = self.estimate
        numbers = " ".join(f"{e[k]:.3f}" if e[k] is not None else "?" for k in ("value", "ci_low", "ci_high"))
        return f"TuneResult(stage={self.stage!r}, {self._content['settings']['metric']}: {numbers})"

    @property
    def stage(self) -> str:
        """The accepted stage."""
        return str(self._content["accepted"])

    @property
    def estimate(self) -> dict[str, Any]:
        """What the accepted stage is worth on new rows."""
        return dict(self._content["estimate"])

    @property
    def class_weight(self) -> dict[Any, float]:
        """Label → weight."""
        weights = self._content["weights"]["class_weight"]
        return dict(zip(self.model.counts_.classes, weights, strict=True))

    @property
    def rule(self) -> dict[str, Any] | None:
        """The decision as JSON data."""
        return None if self._content["rule"] is None else dict(self._content["rule"])

    def rule_in_words(self) -> list[str]:
        """Return what is labelled when, in lines."""
        final = self.model.final_
        if final.rule is None:
            return ["A row gets its most probable class, as training left it."]
        counts = final.counts
        rule = Rule(
            decision=final.rule,
            classes=tuple(counts.classes),
            float_labels=final.floats,
            metric=self.model.metric or "",
            positive=final.positive,
            confidence=None,
            counts=tuple(counts.counts.tolist()),
            comparisons=(),
            confusion=(),
            confusion_before=(),
            cross_fitted=True,
            uncertainty={},
            promises=(),
            warnings=(),
        )
        return decision_in_words(rule)

    def table(self) -> Any:
        """Return a pandas DataFrame with a row for each stage."""
        import pandas as pd

        return pd.DataFrame(self._content["stages"]).drop(columns=["folds", "kept"])

    def to_dict(self) -> dict[str, Any]:
        """Return the content of tuning.json: JSON data, None where a number is undefined."""
        return json.loads(json.dumps(self._content))  # type: ignore[no-any-return]

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write tuning.json and the model into a folder, each whole or not at all.

        Returns
        -------
        dict of str to Path
            "results" and "model".
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._content, indent=1, ensure_ascii=False, allow_nan=False)
        stored = import_module("steelyard.comparison.stored")  # loads scikit-learn
        return {
            "results": write_text(folder / FILE, text + "\n"),
            "model": stored.save(self.model, folder / stored.FOLDER),
        }
