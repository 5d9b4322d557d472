"""A comparison over many data sets: each by itself, with its own journal, then all together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import steelyard
from steelyard.comparison.dataset import Dataset, from_file
from steelyard.comparison.results import Result, load, plain, write_text
from steelyard.comparison.run_folder import check_folder
from steelyard.comparison.running import run
from steelyard.comparison.settings import DEFAULT_MODELS, settings
from steelyard.comparison.study_summary import common_metrics, summarise_sets
from steelyard.errors import InputError

__all__ = [
    "FILE",
    "ROWS",
    "SCHEMA_VERSION",
    "Source",
    "StudyResult",
    "check_study_folder",
    "load_study",
    "sources",
    "study",
]

SCHEMA_VERSION = 1
FILE = "study.json"
ROWS = "rows.parquet"
_SETS = "sets"

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True)
class Source:
    """A data set of a study: what it is called, its file, and the column of its labels."""

    name: str
    path: Path
    target: str


def sources(files: Iterable[str | Path], target: str | None = None) -> list[Source]:
    """Read data sets as they are written on the command line: FILE, or FILE=COLUMN where its target has another name.

    Parameters
    ----------
    files : iterable of str or Path
        A folder stands for the tables in it.
    target : str, optional
        The column of the labels of every file that names none.

    Returns
    -------
    list of Source
        Sorted by name, names being unique: of files that are called alike the folder is part of the name.

    Raises
    ------
    InputError
        For fewer than two files, a file twice, one that does not exist, or one without a target.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.csv", "b.csv"):
    ...         _ = (Path(folder) / name).write_text("x,y")
    ...     [(s.name, s.target) for s in sources([f"{folder}/a.csv=diagnosis", f"{folder}/b.csv"], "y")]
    [('a', 'diagnosis'), ('b', 'y')]
    """
    found: list[tuple[Path, str]] = []
    for given in files:
        path, column = _split(str(given))
        column = column or target
        if column is None:
            raise InputError(
                "a column of labels", f"none for '{path}'", f"--target COLUMN for all, or '{path}=COLUMN'."
            )
        found += [(one, column) for one in _tables(path)]
    paths = [path for path, _ in found]
    twice = sorted({str(path) for path in paths if paths.count(path) > 1})
    if twice:
        raise InputError("each data set once", f"'{twice[0]}' twice")
    if len(found) < 2:
        raise InputError("at least two data sets", str(len(found)), "one table is what `steelyard compare` is for.")
    names = [path.name.split(".")[0] for path in paths]
    unique = [
        name if names.count(name) == 1 else f"{p.parent.name}-{p.name}" for name, p in zip(names, paths, strict=True)
    ]
    if len(set(unique)) < len(unique):
        raise InputError("files with different names", next(repr(u) for u in unique if unique.count(u) > 1))
    made = [Source(name, path, column) for name, (path, column) in zip(unique, found, strict=True)]
    return sorted(made, key=lambda source: source.name)


def _split(text: str) -> tuple[Path, str | None]:
    if Path(text).exists() or "=" not in text:
        return Path(text), None
    path, _, column = text.rpartition("=")
    return Path(path), column or None


def _tables(path: Path) -> list[Path]:
    if path.is_dir():
        kinds = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".csv.gz", ".tsv.gz")
        return sorted(p for p in path.iterdir() if p.name.lower().endswith(kinds))
    if not path.exists():
        raise InputError("a file of data", f"'{path}', which does not exist")
    return [path]


class StudyResult:
    """What a comparison over many data sets found.

    Attributes
    ----------
    results : mapping of str to dict
        The content of results.json of every data set. Empty for a study read from its file.
    """

    def __init__(self, content: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self._content: dict[str, Any] = plain(content)
        self.results = dict(results or {})

    def to_dict(self) -> dict[str, Any]:
        """Return the content of study.json: JSON data, None where a number is undefined."""
        return json.loads(json.dumps(self._content))  # type: ignore[no-any-return]

    def table(self) -> Any:
        """Return a pandas DataFrame: a row per model, strategy, decision and metric."""
        import pandas as pd

        return pd.DataFrame(self._content["summary"])

    def rows(self) -> Any:
        """Return an Arrow table of every fold: set, model, strategy, repeat, fold, metric, decision, value."""
        import pyarrow as pa

        kept = set(self._content["metrics"])
        columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
        for name, one in self.results.items():
            for of_fold in one["runs"]:
                for key, value in of_fold["metrics"].items():
                    metric, _, decision = key.partition(":")
                    if metric in kept:
                        entry = (name, of_fold["model"], of_fold["strategy"], of_fold["repeat"], of_fold["fold"])
                        for column, entered in zip(
                            columns.values(), (*entry, metric, decision or "default", value), strict=True
                        ):
                            column.append(entered)
        text = pa.dictionary(pa.int16(), pa.string())
        kinds = {str: text, int: pa.int16(), float: pa.float64()}
        return pa.table({name: pa.array(columns[name], kinds[kind]) for name, kind in _COLUMNS.items()})

    def report(self, path: str | Path) -> Path:
        """Write the study as one HTML page that needs nothing else."""
        html: str = import_module("steelyard.report").render_study(self._content)
        return write_text(Path(path), html)

    def save(self, folder: str | Path) -> dict[str, Path]:
        """Write study.json, study.html, study.md and rows.parquet (every fold), each whole or not at all."""
        import pyarrow.parquet as pq

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self._content, indent=1, ensure_ascii=False, allow_nan=False)
        paths = {"results": write_text(folder / FILE, text + "\n"), "report": self.report(folder / "study.html")}
        paths["text"] = write_text(
            folder / "study.md", import_module("steelyard.report").study_as_markdown(self._content)
        )
        if self.results:
            pq.write_table(self.rows(), folder / f".{ROWS}", compression="zstd")
            paths["rows"] = (folder / f".{ROWS}").replace(folder / ROWS)
        return paths


_COLUMNS: Mapping[str, type] = {
    "set": str, "model": str, "strategy": str, "repeat": int, "fold": int, "metric": str, "decision": str,
    "value": float,
}  # fmt: skip


def check_study_folder(folder: str | Path, resume: bool = False) -> None:
    """Refuse to write over something, before hours are spent on what would replace it.

    Raises
    ------
    InputError
        If `folder` holds anything but a study to go on with.
    """
    begun = (Path(folder) / _SETS).is_dir()
    if begun and not resume:
        raise InputError(
            "an empty or new folder for the study",
            f"'{folder}', which holds a study",
            "--resume goes on with it, also with more data sets; or choose another --out.",
        )
    if not begun:
        check_folder(folder)


def load_study(folder: str | Path) -> StudyResult:
    """Read study.json from a folder.

    Raises
    ------
    InputError
        If there is none, or it is not one of ours.
    """
    path = Path(folder) / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"a folder with {FILE}", f"'{folder}'", "steelyard study writes one.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"JSON in '{path}'", str(error)) from error
    found = content.get("schema_version") if isinstance(content, dict) else None
    if found != SCHEMA_VERSION or "sets" not in content:
        raise InputError(f"a study of schema_version {SCHEMA_VERSION} in '{path}'", repr(found))
    return StudyResult(content)


def study(
    of: Sequence[Source],
    folder: str | Path,
    strategies: Iterable[str] | str | None = None,
    model: Any = DEFAULT_MODELS,
    metric: str | None = None,
    cv: int = 5,
    repeats: int = 3,
    random_state: int = 0,
    decisions: str = "both",
    progress: Progress | None = None,
) -> StudyResult:
    """Compare strategies over many data sets.

    Every data set is a comparison of its own (`steelyard.comparison.compare`), with its journal and report in
    ``folder/sets/NAME``; a study that was interrupted goes on where it stopped. A data set that cannot be used is
    listed with the reason, and the others go on.

    Parameters
    ----------
    of : sequence of Source
    folder : str or Path
    strategies, model, cv, repeats, random_state, decisions
        As in `compare`, the same for every data set.
    metric : str, optional
        Default average_precision where all data sets have two classes, else balanced_accuracy.
    progress : callable, optional
        Called with (data set, done, total, what is being done).

    Returns
    -------
    StudyResult

    Raises
    ------
    InputError
        If a setting cannot be met, or fewer than two data sets can be used.
    """
    folder = Path(folder)
    chosen = None if strategies is None or isinstance(strategies, str) else list(strategies)
    told = progress or (lambda *_: None)
    skipped: list[dict[str, str]] = []
    read: dict[str, tuple[Source, Dataset]] = {}
    for i, source in enumerate(of):
        told(source.name, i, len(of), "reading")
        try:
            read[source.name] = source, from_file(source.path, source.target)
        except InputError as error:
            skipped.append({"set": source.name, "reason": str(error)})
    if metric is None:
        two = all(d.target.counts.n_classes == 2 for _, d in read.values())
        metric = "average_precision" if two else "balanced_accuracy"
    results: dict[str, dict[str, Any]] = {}
    described: list[dict[str, Any]] = []
    asked: dict[str, Any] = {}
    for i, (name, (source, dataset)) in enumerate(read.items()):
        told(name, i, len(read), "")
        try:
            one = settings(
                dataset.target,
                chosen if chosen is not None else strategies,
                model,
                metric,
                cv,
                repeats,
                random_state,
                decisions,
                names={"data": source.path.name, "target": source.target},
            )
            results[name] = _compared(dataset, one, folder / _SETS / name, partial(told, name))
        except InputError as error:
            skipped.append({"set": name, "reason": str(error)})
            continue
        asked = asked or {k: v for k, v in one.to_dict(dataset.target).items() if k in _SHARED}
        described.append({"set": name, "file": source.path.name, "target": source.target} | _facts(results[name]))
    if len(results) < 2:
        reasons = "; ".join(f"{s['set']}: {s['reason']}" for s in skipped)
        raise InputError("at least two data sets that can be used", f"{len(results)}", reasons)
    summary, tests = summarise_sets(results, metric)
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": steelyard.__version__,
        "settings": asked,
        "metrics": common_metrics(results, metric),
        "sets": described,
        "summary": summary,
        "tests": tests,
        "skipped": skipped,
    }
    return StudyResult(content, results)


# settings that do not depend on the data set
_SHARED = (
    "strategies",
    "parameters",
    "models",
    "model_options",
    "metric",
    "decisions",
    "cv",
    "repeats",
    "random_state",
)


def _compared(dataset: Dataset, asked: Any, folder: Path, progress: Any) -> dict[str, Any]:
    """Return the results of one data set: those in its folder, if they are of the same comparison, or new ones."""
    if (folder / "results.json").is_file():
        content = load(folder).to_dict()
        same = content["dataset"]["fingerprint"] == dataset.fingerprint() and content["settings"] == plain(
            asked.to_dict(dataset.target)
        )
        if not same or content["steelyard_version"] != steelyard.__version__:
            raise InputError(
                f"results of the same comparison in '{folder}'",
                "results of other data, settings or version",
                "choose another --out, or remove that folder.",
            )
        return content
    result = run(dataset, asked, progress, folder)
    # a study needs no model of each data set
    Result(result.to_dict(), result.out_of_fold).save(folder)
    return result.to_dict()


def _facts(content: Mapping[str, Any]) -> dict[str, Any]:
    dataset, best = content["dataset"], content["best"]
    baselines = [
        r["mean"]
        for r in content["summary"]
        if (r["strategy"], r["metric"], r["model"]) == ("none", best["metric"], best["model"]) and r["mean"] is not None
    ]
    return {
        "rows": dataset["rows"],
        "features": dataset["features"],
        "classes": len(dataset["classes"]),
        "imbalance_ratio": max(dataset["counts"]) / min(dataset["counts"]),
        "fingerprint": dataset["fingerprint"],
        "best": best,
        "baseline": baselines[0] if baselines else None,
        "warnings": content["warnings"],
        "skipped": content["skipped"],
    }
