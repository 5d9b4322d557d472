"""A trained classifier as a folder that anyone can read, and that runs no code when it is loaded.

model.json           what it is: columns, classes, strategy, loss, decision rule, counts, versions
arrays.safetensors   what was trained: weights
trees.txt            of boosted trees: LightGBM's own text form, XGBoost's or CatBoost's JSON
SHA256SUMS           sums of these files, as `sha256sum -c` reads them
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import steelyard
from steelyard import decisions, losses, training
from steelyard.comparison.classifier import Classifier, trained
from steelyard.comparison.final import Final
from steelyard.comparison.new_rows import Columns
from steelyard.comparison.versions import library_versions
from steelyard.decisions.row_costs import RowMinCost
from steelyard.decisions.stated_costs import Costs
from steelyard.errors import InputError, MissingDependencyError, one_of
from steelyard.strategies import Point
from steelyard.weights import ClassCounts

if TYPE_CHECKING:
    from steelyard.comparison.multilabel_classifier import MultiLabelClassifier

__all__ = ["FOLDER", "SCHEMA_VERSION", "arguments", "damaged", "load", "replaced", "save", "write"]

FOLDER = "model"
SCHEMA_VERSION = 1
_FACTS, _ARRAYS, _TREES, _SUMS = "model.json", "arrays.safetensors", "trees.txt", "SHA256SUMS"


def save(model: Classifier | MultiLabelClassifier, folder: str | Path) -> Path:
    """Write a trained classifier into a folder, whole or not at all.

    Parameters
    ----------
    model : Classifier or MultiLabelClassifier
    folder : str or Path
        Made, or replaced once the new one is complete.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a label is neither text, a number, a truth value, a date nor a tuple of these; or a scikit-learn classifier
        of the user's own cannot be stored without pickle.
    """
    from steelyard.comparison import multilabel_classifier  # stores its parts with this function

    folder = Path(folder)
    if isinstance(model, multilabel_classifier.MultiLabelClassifier):
        return multilabel_classifier.save(model, folder)
    content = _content(model)
    with replaced(folder) as temporary:
        sums = []
        for name, data in content.items():
            write(temporary / name, data)
            sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
        write(temporary / _SUMS, "".join(sums).encode())
    return folder


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """Hand out a folder to write into; it becomes `folder` once everything is in it, and is gone if that fails."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield temporary
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o777 & ~mask)  # mkdtemp makes folders that only their owner can read
        _replace(temporary, folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write(path: Path, data: bytes) -> None:
    """Write a file, and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _replace(new: Path, folder: Path) -> None:
    if not folder.exists():
        new.rename(folder)
        return
    # a folder with files cannot be renamed over: the old one steps aside, and back if the new one cannot take its place
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.")) / "old"
    folder.rename(aside)
    try:
        new.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    finally:
        shutil.rmtree(aside.parent, ignore_errors=True)


def _content(model: Classifier) -> dict[str, bytes]:
    """Return the files of a classifier by name."""
    final: Final = model.final_
    priors = model._priors()
    facts, arrays = final.model.state()
    files = {_ARRAYS: _safetensors().save({name: np.ascontiguousarray(a) for name, a in arrays.items()})}
    if "text" in facts:
        files[_TREES] = facts.pop("text").encode()
    content = {
        "schema_version": SCHEMA_VERSION,
        "steelyard_version": model.version_,
        "libraries": library_versions(),
        "model": {"name": final.kind.name, "options": _listed(final.kind.options), "facts": facts},
        "strategy": {"name": final.point.strategy, "parameters": dict(final.parameters)},
        "decision": model.decision,
        "metric": model.metric,
        "random_state": model.random_state,
        "classes": [_as_json(label) for label in final.counts.classes],
        "counts": final.counts.counts.tolist(),
        "positive": final.positive,
        "floats": final.floats,
        "costs": None if final.costs is None else [list(row) for row in final.costs.cells],
        "target_prior": None if priors is None else priors.tolist(),
        "point": _point_as_json(final.point),
        "rule": None if final.rule is None else final.rule.to_dict(),
        "trouble": final.trouble,
        "columns": final.columns.to_dict(),
    }
    return {_FACTS: json.dumps(content, indent=1, allow_nan=False).encode(), **files}


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ModuleNotFoundError:
        raise MissingDependencyError("safetensors", "a stored model", extra="compare") from None
    return safetensors.numpy


def load(path: str | Path, factory: Any = None, trusted: Sequence[str] = ()) -> Any:
    """Load a classifier that a comparison stored.

    No file can make this run code: there is no pickle, and nothing is imported or called by a name that a file gives.
    A network of your own is numbers in the file, and its code is yours: name it, and it is run.

    Parameters
    ----------
    path : str or Path
        The folder `model`, or the folder of the comparison that holds it.
    factory : callable or "package.module:function", optional
        What built a torch module or Keras model of your own. The text is imported.
    trusted : sequence of str, optional
        Types that a scikit-learn classifier of your own holds and that skops does not trust by itself, such as
        "sklearn.tree._tree.Tree": its compiled code believes the numbers that it is given. An error names them.

    Returns
    -------
    Classifier, or MultiLabelClassifier where there were several labels
        A trained scikit-learn classifier; its predictions equal those before it was stored to the last bit.

    Raises
    ------
    InputError
        If there is no model, it is damaged, or another version wrote it.

    Examples
    --------
    >>> import tempfile, numpy as np, steelyard as sy
    >>> rng = np.random.default_rng(0)
    >>> y = (rng.random(200) < 0.2).astype(int)
    >>> X = rng.normal(size=(200, 2)) + y[:, None]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = sy.compare(X, y, ["balanced"], "linear", cv=2, repeats=1, out=folder)
    ...     model = sy.load(folder)
    >>> model
    Classifier(metric='average_precision', positive=1...)
    >>> bool((model.predict_proba(X) == result.model.predict_proba(X)).all())
    True
    """
    from steelyard.comparison import multilabel_classifier

    for place in (Path(path), Path(path) / FOLDER):
        if (place / multilabel_classifier.FACTS).is_file():
            return multilabel_classifier.load(place, factory, trusted)
    folder = _folder(Path(path))
    files = _checked_files(folder)
    try:
        content = json.loads(files[_FACTS])
    except (ValueError, RecursionError) as error:
        raise damaged(folder, f"{_FACTS} is not JSON ({str(error)[:80]})") from None
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"schema_version {SCHEMA_VERSION} in '{folder / _FACTS}'",
            repr(version),
            f"this is Steelyard {steelyard.__version__}: was the model stored by another version?",
        )
    try:
        arrays = {name: np.array(a) for name, a in _safetensors().load(files[_ARRAYS]).items()}
        own = _own(content["model"], folder, arrays, factory, trusted)
        return _restored(content, files, arrays, own, trusted)
    except (MissingDependencyError, _RefusedError, training.FactoryError):
        raise
    except Exception as error:  # whatever is wrong with a stranger's file, it is the file that is wrong
        raise damaged(folder, f"{type(error).__name__}: {str(error)[:200]}") from error


def _folder(path: Path) -> Path:
    if (path / _FACTS).is_file():
        return path
    if (path / FOLDER / _FACTS).is_file():
        return path / FOLDER
    if path.is_file():
        raise InputError(
            "the folder of a stored model",
            f"the file '{path}'",
            "pickled models are not read: loading them can run any code."
            if path.name != _FACTS
            else "name its folder.",
        )
    if (path / "results.json").is_file():
        raise InputError(
            f"a stored model in '{path}'", "a comparison without one", "compare again, with --force or another --out."
        )
    got = f"'{path}', which holds none" if path.is_dir() else f"'{path}', which does not exist"
    raise InputError("the folder of a stored model", got, "steelyard compare writes one into DIR/model.")


def _checked_files(folder: Path) -> dict[str, bytes]:
    """Return the files, each as it was written."""
    if not (folder / _SUMS).is_file():
        raise damaged(folder, f"{_SUMS} is missing")
    sums = {}
    for line in (folder / _SUMS).read_bytes().decode("ascii", "replace").splitlines():
        digest, _, name = line.partition("  ")
        sums[name] = digest
    if not {_FACTS, _ARRAYS} <= set(sums) <= {_FACTS, _ARRAYS, _TREES}:
        raise damaged(folder, f"{_SUMS} does not name its files")
    files = {}
    for name, digest in sums.items():
        if not (folder / name).is_file():
            raise damaged(folder, f"{name} is missing")
        files[name] = (folder / name).read_bytes()
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise damaged(folder, f"{name} is not as it was written")
    return files


def damaged(folder: Path, what: str) -> InputError:
    """Return the error of a stored model that is not as it was written."""
    return InputError(f"an undamaged model in '{folder}'", what, "copy it again, or run the comparison again.")


class _RefusedError(InputError):
    """A model that may well be whole, and is not loaded without a word of its user's."""


def _own(
    content: Mapping[str, Any], folder: Path, arrays: Mapping[str, Any], factory: Any, trusted: Sequence[str]
) -> training.Model | None:
    """Return the user's own model, of which the file holds the numbers, or None where it is one of ours."""
    facts = content["facts"]
    framework = facts.get("framework")
    if framework is None:
        if factory is not None:
            raise _RefusedError("no `factory`", "one", f"'{folder}' holds a model of Steelyard's.")
        return None
    one_of("framework", framework, training.FRAMEWORKS)
    wanted = sorted(set(training.untrusted(facts, arrays)) - set(trusted))
    if wanted:
        raise _RefusedError(
            f"your trust in the types that '{folder}' holds",
            ", ".join(repr(str(name)[:100]) for name in wanted[:10]),
            "if you know where the file comes from: sy.load(path, trusted=[...]), or --trust with each of them.",
        )
    if framework == "scikit-learn":
        made = training.Source(None, None)  # skops builds it from what the file holds
    elif factory is None:
        raise _RefusedError(
            f"the factory of the {framework} model in '{folder}', which holds its weights and not its code",
            "none",
            "sy.load(path, factory=...), or --factory package.module:function" + _told(facts["factory"]),
        )
    else:
        try:
            made = training.source(factory)
        except InputError as error:
            raise _RefusedError(error.expected, error.got, error.hint) from error
    return training.named(made, str(content["name"]), dict(content["options"]))


def _told(path: Any) -> str:
    # what a stranger's file says is shown, and not followed
    return "." if path is None else f"; when it was trained it was {str(path)[:200]!r}."


def arguments(model: Classifier | MultiLabelClassifier) -> str:
    """Return what `steelyard predict` has to be told beside the folder of a stored model, to be pasted.

    Examples
    --------
    >>> arguments(Classifier().fit(np.array([[0.0], [1.0], [2.0], [3.0]]), ["no", "no", "yes", "yes"]))
    ''
    """
    # the models of all labels are of one kind
    final: Final = next(iter(getattr(model, "classifiers", {"": model}).values())).final_
    if final.kind.source is None:
        return ""
    facts, arrays = final.model.state()
    if facts["framework"] == "scikit-learn":
        return "".join(f" --trust {name}" for name in training.untrusted(facts, arrays))
    return f" --factory {facts['factory'] or 'MODULE:FUNCTION'}"


def _restored(
    content: Mapping[str, Any],
    files: Mapping[str, bytes],
    arrays: dict[str, Any],
    own: training.Model | None,
    trusted: Sequence[str],
) -> Classifier:
    facts = dict(content["model"]["facts"])
    if _TREES in files:
        facts["text"] = files[_TREES].decode()
    classes = tuple(_from_json(label) for label in content["classes"])
    counts = ClassCounts(classes, np.array(content["counts"], np.int64))
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in content["model"]["options"].items()}
    kind = training.get(content["model"]["name"], **options) if own is None else own
    model: Any = training.restore(kind, facts, arrays, trusted)
    if facts.get("framework") == "scikit-learn":
        # from now on it can be trained again, as any classifier can
        kind = training.named(training.source(model.estimator), kind.name, kind.options)
    final = Final(
        columns=Columns.from_dict(content["columns"]),
        model=model,
        kind=kind,
        point=_point_from_json(content["point"], counts),
        parameters=dict(content["strategy"]["parameters"]),
        rule=None if content["rule"] is None else decisions.from_dict(content["rule"]),
        counts=counts,
        positive=content["positive"],
        floats=bool(content["floats"]),
        trouble=content["trouble"],
        costs=None if content.get("costs") is None else _costs(content["costs"], classes),
    )
    prior = content["target_prior"]
    shares = None if prior is None else dict(zip(classes, prior, strict=True))
    one_of("decision", content["decision"], ("default", "tuned"))
    classifier = trained(
        final, content["decision"], content["metric"], content["random_state"], shares, content["steelyard_version"]
    )
    _try(classifier)
    return classifier


def _try(classifier: Classifier) -> None:
    """Predict one row, so that parts that do not fit together are found now and not in the middle of a file."""
    final: Final = classifier.final_
    row: dict[str, Any] = {name: [None] for name in final.columns.needed}
    if isinstance(final.rule, RowMinCost):  # labels depend on costs that this row has none of
        if not final.cost_columns or len(final.rule.offsets) != final.counts.n_classes:
            raise InputError("costs in columns, and an offset for each class", "a rule that does not fit them")
        proba = classifier.predict_proba(row)
    else:
        proba = classifier.labels_and_proba(row)[1]
    if proba.shape != (1, classifier.counts_.n_classes):
        raise InputError(f"probabilities of {classifier.counts_.n_classes} classes", f"shape {proba.shape}")


def _costs(cells: Any, classes: tuple[Any, ...]) -> Costs:
    return Costs(classes, tuple(tuple(c if isinstance(c, str) else float(c) for c in row) for row in cells))


def _listed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def _point_as_json(point: Point) -> dict[str, Any]:
    """Return the numbers of a strategy: as they were in training, whatever a later version would make of its name."""
    content: dict[str, Any] = {}
    for field in fields(point):
        value = getattr(point, field.name)
        if isinstance(value, losses.Loss):
            value = value.to_dict()
        content[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return content


def _point_from_json(content: Mapping[str, Any], counts: ClassCounts) -> Point:
    values = dict(content)
    for name in ("loss", "later"):
        if values.get(name) is not None:
            values[name] = losses.from_dict(values[name])
    values["priors"] = np.asarray(values["priors"], np.float64)
    if values["priors"].shape != (counts.n_classes,):
        raise InputError(f"{counts.n_classes} priors", str(values["priors"].shape))
    return Point(**values)


# labels are text, numbers or truth values nearly always, and must come back as what they were: "01" is not 1
def _as_json(label: Any) -> dict[str, Any]:
    if label is None:
        return {"type": "none", "value": None}
    for kind in (bool, int, float, str):  # a truth value is an int too
        if isinstance(label, kind):
            return {"type": kind.__name__, "value": kind(label)}
    if isinstance(label, bytes):
        return {"type": "bytes", "value": label.hex()}
    if isinstance(label, tuple):
        return {"type": "tuple", "value": [_as_json(part) for part in label]}
    for moment in (datetime.datetime, datetime.date):
        if isinstance(label, moment):
            return {"type": moment.__name__, "value": label.isoformat()}
    raise InputError(
        "labels that can be stored: text, numbers, truth values, dates, or tuples of these",
        f"{label!r} of type {type(label).__name__}",
        "use its text: [str(label) for label in y].",
    )


_TYPES: dict[str, Any] = {
    "none": lambda _: None,
    "bool": bool,
    "int": int,
    "float": float,
    "str": str,
    "bytes": bytes.fromhex,
    "tuple": lambda parts: tuple(_from_json(part) for part in parts),
    "date": datetime.date.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
}


def _from_json(content: Mapping[str, Any]) -> Any:
    one_of("type", content["type"], _TYPES)
    return _TYPES[content["type"]](content["value"])
