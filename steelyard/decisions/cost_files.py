"""Costs from a file that a person wrote: CSV as a spreadsheet saves it, or YAML. Nothing in it is executed."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steelyard.decisions.stated_costs import Cell, Costs, Names, Quoted, cell, labels_of, listed
from steelyard.errors import InputError, MissingDependencyError, did_you_mean

__all__ = ["as_costs", "read_costs"]

# a thousand classes in CSV; YAML, which is read a hundred times slower, is for what a person types
_MOST_BYTES = {".csv": 32 << 20, ".tsv": 32 << 20, ".yaml": 1 << 20, ".yml": 1 << 20}
_FOREIGN = ";\t"


def read_costs(path: str | Path, classes: Any) -> Costs:
    r"""Read what mistakes cost from a file.

    CSV (or TSV): the first column is the truth, the header the label, in any order of the classes; an empty cell on the
    diagonal is 0. YAML: truth → label → cost; a correct label that is left out costs 0, other labels that are left out
    cost what `default` at the top says. A cell is a number ≥ 0 or the name of a column of the data, which holds the
    cost for each row (in YAML, a number in quotes is a name).

    Parameters
    ----------
    path : str or Path
        .csv, .tsv, .yaml or .yml, in UTF-8; at most 32 MB, YAML 1 MB.
    classes : sequence of labels, or ClassCounts
        In the order of the columns of the probabilities; the names in the file are matched as text.

    Returns
    -------
    Costs

    Raises
    ------
    InputError
        If there is no such file, it is broken or too large, a class is unknown (did you mean?), missing or repeated, or
        a cost is none.
    MissingDependencyError
        For YAML without PyYAML.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "costs.csv"
    ...     _ = path.write_text("truth,ok,fraud\nfraud,49,0\nok,0,1\n")
    ...     costs = read_costs(path, ["fraud", "ok"])
    >>> costs.matrix
    array([[ 0., 49.], [ 1.,  0.]])
    """
    path = Path(path)
    labels = labels_of(classes)
    kind = path.suffix.lower()
    if kind not in _MOST_BYTES:
        raise InputError(f"a file of costs that ends in {', '.join(_MOST_BYTES)}", f"'{path.name}'")
    text = _text(path, _MOST_BYTES[kind])
    try:
        if kind in (".csv", ".tsv"):
            return _from_csv(text, labels, "\t" if kind == ".tsv" else None)
        return Costs.from_mapping(_yaml(text), labels)
    except InputError as error:
        raise InputError(error.expected, f"{error.got}, in '{path}'", error.hint) from None


def as_costs(costs: Any, classes: Any) -> Costs:
    """Return costs in whatever form they are given: `Costs`, a matrix, a mapping by name, or the path of a file.

    Parameters
    ----------
    costs : Costs, array-like of shape (C, C), mapping of label to mapping, str or Path
    classes : sequence of labels, or ClassCounts

    Returns
    -------
    Costs
        With the classes in the order of `classes`.

    Examples
    --------
    >>> as_costs({"b": {"a": 5}, "a": {"b": 1}}, ["a", "b"]).matrix
    array([[0., 1.], [5., 0.]])
    """
    if isinstance(costs, Costs):
        return costs.ordered(classes)
    if isinstance(costs, (str, Path)):
        return read_costs(costs, classes)
    if isinstance(costs, Mapping):
        return Costs.from_mapping(costs, classes)
    return Costs.from_matrix(costs, classes)


def _text(path: Path, most: int) -> str:
    if not path.is_file():
        folder = path.parent
        near = did_you_mean(path.name, (p.name for p in folder.iterdir())) if folder.is_dir() else None
        raise InputError("a file of costs", f"'{path}', which is {'a folder' if path.is_dir() else 'not there'}", near)
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise InputError(f"a file of costs of at most {most >> 20} MB", f"'{path}', which is larger")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        hint = "save it as 'CSV UTF-8', or convert it: iconv -f latin1 -t utf-8."
        raise InputError("a file of costs in UTF-8", f"'{path}', which is not", hint) from None
    if not text.strip():
        raise InputError("a file with costs", f"'{path}', which is empty")
    return text


# --- CSV ------------------------------------------------------------------------------------------------------------


def _from_csv(text: str, labels: tuple[Any, ...], separator: str | None) -> Costs:
    if separator is None:
        header = text.lstrip("\r\n").splitlines()[0]
        separator = next((s for s in _FOREIGN if s in header and "," not in header), ",")
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        lines = [(reader.line_num, row) for row in reader if any(field.strip() for field in row)]
    except csv.Error as error:
        raise InputError("a readable CSV file", str(error)) from None
    names = Names(labels)
    columns = _places([(1, name) for name in lines[0][1][1:]], names, "label in the header")
    rows = _places([(line, row[0]) for line, row in lines[1:]], names, "true class in the first column")
    for line, row in lines[1:]:
        if len(row) != len(labels) + 1:
            raise InputError(f"{len(labels) + 1} fields in every line", f"{len(row)} in line {line}")
    cells: list[list[Cell]] = [[0.0] * len(labels) for _ in labels]
    for k, (_, row) in zip(rows, lines[1:], strict=True):
        for j, value in zip(columns, row[1:], strict=True):
            if k == j and not value.strip():
                continue
            cells[k][j] = cell(value, f"labelling {str(labels[k])!r} as {str(labels[j])!r}")
    return Costs(labels, tuple(tuple(row) for row in cells))


def _places(found: list[tuple[int, str]], names: Names, what: str) -> list[int]:
    places: list[int] = []
    for line, name in found:
        k = names.index(name, what)
        if k in places:
            raise InputError(f"each {what} once", f"{name.strip()!r} again in line {line}")
        places.append(k)
    missing = [label for k, label in enumerate(names.classes) if k not in places]
    if missing:
        raise InputError(f"every class as a {what}", f"none for {listed(missing)}")
    return places


# --- YAML -----------------------------------------------------------------------------------------------------------


def _yaml(text: str) -> dict[str, Any]:
    """Return truth → label → text or number.

    The file is parsed to nodes, and no further: no value of YAML's own is made, so that a class `no` stays "no", and
    nothing is constructed, whatever a tag asks for.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise MissingDependencyError("pyyaml", "reading costs from YAML", extra="compare") from None
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError("readable YAML", f"{problem}{where}") from None
    except RecursionError:
        raise InputError("true classes, labels and costs in YAML", "far deeper nesting") from None
    return {
        key: {label: _scalar(cost, yaml) for label, cost in _pairs(node, f"labels and costs for {key!r}", yaml)}
        if isinstance(node, yaml.MappingNode)
        else _scalar(node, yaml)
        for key, node in _pairs(root, "true classes, each with labels and costs", yaml)
    }


def _pairs(node: Any, what: str, yaml: Any) -> list[tuple[str, Any]]:
    if not isinstance(node, yaml.MappingNode):
        line = "" if node is None else f" in line {node.start_mark.line + 1}"
        raise InputError(what, ("nothing" if node is None else f"a {node.id}") + line)
    seen: set[str] = set()
    out = []
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise InputError("names as keys", f"a {key.id} in line {line}")
        if key.value in seen:
            hint = (
                "a class called default and a default for all do not go together." if key.value == "default" else None
            )
            raise InputError("each name once", f"{key.value!r} again in line {line}", hint)
        seen.add(key.value)
        out.append((key.value, value))
    return out


def _scalar(node: Any, yaml: Any) -> Any:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise InputError("a number or the name of a column", f"a {node.id} in line {line}")
    if node.tag not in ("tag:yaml.org,2002:str", "!"):
        raise InputError("a plain number or name", f"the tag {node.tag!r} in line {line}")
    return Quoted(node.value) if node.style in ("'", '"') else node.value
