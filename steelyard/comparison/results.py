"""The outcome of a comparison: results.json, and the object that Python users hold."""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steelyard.comparison.scoring import OutOfFold
from steelyard.errors import InputError
from steelyard.training.own import NotStorableError

if TYPE_CHECKING:
    from steelyard.comparison.classifier import Classifier

__all__ = ["SCHEMA_VERSION", "Result", "as_text", "load", "write_text"]

SCHEMA_VERSION = 1
_FILE = "results.json"
_NUMBERS = re.compile(r"\[\n\s*(?:-?\d[^\s,\]]*|null)(?:,\n\s*(?:-?\d[^\s,\]]*|null))*\n\s*\]")


class Result:
    """What a comparison found.

    Attributes
    ----------
    best : dict
        {model, strategy, decision, metric, estimate, ci_low, ci_high}: the winner, with an estimate
        corrected for its having been chosen among several.
    out_of_fold : mapping of (model, strategy) to OutOfFold
        The scores of every row by models that did not see it. Empty for a result read from a
        file.
    model : Classifier
        The winner, trained on all rows: a scikit-learn classifier.
    not_stored : str or None
        Why `save` wrote no model: a classifier of the user's own that cannot be written without pickle.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        out_of_fold: Mapping[tuple[str, str], OutOfFold] | None = None,
        train: Callable[[], Classifier] | None = None,
    ) -> None:
        self._content = plain(content)
        self.out_of_fold = dict(out_of_fold or {})
        self._train = train
        self._model: Classifier | None = None
        self.not_stored: str | None = None

    @property
    def best(self) -> dict[str, Any]:
        """The winner."""
        return dict(self._content["best"])

    @property
    def model(self) -> Classifier:
        """The winner, trained on all rows when it is first asked for."""
        if self._model is None:
            if self._train is None:
                raise InputError(
                    "a comparison with a winner", "one without", "no metric was defined, or no model was kept."
                )
            self._model = self._train()
        return self._model

    def to_dict(self) -> dict[str, Any]:
        """Return the content of results.json: JSON data, None where a number is undefined."""
        return json.loads(json.dumps(self._content))  # type: ignore[no-any-return]

    def table(self) -> Any:
        """Return a pandas DataFrame with the columns of results.json's summary."""
        import pandas as pd

        return pd.DataFrame(self._content["summary"])

    def report(self, path: str | Path) -> Path:
        """Write the report: one HTML file that needs nothing else, or, to a path that ends in .md, Markdown.

        Parameters
        ----------
        path : str or Path

        Returns
        -------
        Path
        """
        # by name, when it is asked for: reports are built on results, so results import nothing of them
        reports = import_module("steelyard.report")
        written: str = (reports.markdown if Path(path).suffix == ".md" else reports.render)(self._content)
        return write_text(Path(path), written)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write results.json, report.html, report.md and the trained winner into a folder, each whole or not at all.

        Returns
        -------
        dict of str to Path
            "results", "report", "markdown" and, where there is a winner, "model".
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        paths = {
            "results": write_text(folder / _FILE, as_text(self._content)),
            "report": self.report(folder / "report.html"),
            "markdown": self.report(folder / "report.md"),
        }
        if self._train is not None:
            stored = import_module("steelyard.comparison.stored")  # loads scikit-learn
            try:
                paths["model"] = stored.save(self.model, folder / stored.FOLDER)
            except NotStorableError as error:  # the results are no worse for it
                self.not_stored = str(error)
        return paths


def plain(value: Any) -> Any:
    """Return JSON data: NaN and infinities become None, labels that JSON does not know become text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def as_text(content: Any) -> str:
    """Return JSON that people can read and compare: a line for each entry, but one for a whole list of numbers.

    Examples
    --------
    >>> print(as_text({"matrix": [[1, 2], [3, 4]], "label": "[ 1, 2 ]"}), end="")
    {
     "matrix": [
      [1, 2],
      [3, 4]
     ],
     "label": "[ 1, 2 ]"
    }
    """
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    # a line break after the bracket: inside a string there is none
    return _NUMBERS.sub(lambda found: re.sub(r"\s+", " ", found[0]).replace("[ ", "[").replace(" ]", "]"), text) + "\n"


def write_text(path: Path, text: str) -> Path:
    """Write a file so that it is either the old one or the whole new one, even if the machine stops midway."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner can read; results are for sharing
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(folder: str | Path) -> Result:
    """Read results.json from a folder.

    Raises
    ------
    InputError
        If there is none, or it is not one of ours.
    """
    path = Path(folder) / _FILE
    if not path.is_file():
        raise InputError(f"a folder with {_FILE}", f"'{folder}'", "steelyard compare writes one.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"JSON in '{path}'", str(error)) from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        found = content.get("schema_version") if isinstance(content, dict) else None
        raise InputError(
            f"schema_version {SCHEMA_VERSION} in '{path}'", repr(found), "was it written by another version?"
        )
    stored = Path(folder) / "model"
    train = (lambda: import_module("steelyard.comparison.stored").load(stored)) if stored.is_dir() else None
    return Result(content, train=train)
