"""The same labels in every container give the same counts and the same indices."""

from __future__ import annotations

import datetime
import subprocess
import sys

import numpy as np
import pytest

from steelyard import ClassCounts
from steelyard.errors import InputError

TEXT = ["b", "a", "b", "c"]
NUMBERS = [3, -1, 3, 7]


def pandas_series(y):
    return pytest.importorskip("pandas").Series(y, index=range(10, 10 + len(y)))


def pandas_object(y):
    return pytest.importorskip("pandas").Series(y, dtype=object)


def pandas_categorical(y):
    pd = pytest.importorskip("pandas")
    return pd.Series(pd.Categorical(y, categories=["unused" if isinstance(y[0], str) else 99, *sorted(set(y))]))


def pandas_plain_categorical(y):
    return pytest.importorskip("pandas").Categorical(y)


def pandas_index(y):
    return pytest.importorskip("pandas").Index(y)


def pandas_frame(y):
    return pytest.importorskip("pandas").DataFrame({"y": y})


def pandas_nullable(y):
    return pytest.importorskip("pandas").Series(y, dtype="string" if isinstance(y[0], str) else "Int64")


def polars_series(y):
    return pytest.importorskip("polars").Series(y)


def polars_categorical(y):
    pl = pytest.importorskip("polars")
    return pl.Series(y).cast(pl.Categorical) if isinstance(y[0], str) else pl.Series(y).cast(pl.Int8)


def polars_enum(y):
    pl = pytest.importorskip("polars")
    return pl.Series(y, dtype=pl.Enum(["z", "c", "b", "a"])) if isinstance(y[0], str) else pl.Series(y)


def polars_frame(y):
    return pytest.importorskip("polars").DataFrame({"y": y})


def arrow_array(y):
    return pytest.importorskip("pyarrow").array(y)


def arrow_chunked(y):
    return pytest.importorskip("pyarrow").chunked_array([y[:1], y[1:]])


def arrow_dictionary(y):
    return arrow_array(y).dictionary_encode()


def arrow_chunked_dictionary(y):
    return pytest.importorskip("pyarrow").chunked_array([arrow_dictionary(y[:2]), arrow_dictionary(y[2:])])


def arrow_table(y):
    return pytest.importorskip("pyarrow").table({"y": y})


def numpy_masked(y):
    return np.ma.MaskedArray(np.array(y), mask=[False] * len(y))


ANY = [
    list,
    tuple,
    np.array,
    lambda y: np.array(y, dtype=object),
    numpy_masked,
    pandas_series,
    pandas_object,
    pandas_categorical,
    pandas_plain_categorical,
    pandas_index,
    pandas_frame,
    pandas_nullable,
    polars_series,
    polars_categorical,
    polars_enum,
    polars_frame,
    arrow_array,
    arrow_chunked,
    arrow_dictionary,
    arrow_chunked_dictionary,
    arrow_table,
]


@pytest.mark.parametrize("container", ANY, ids=lambda f: f.__name__)
@pytest.mark.parametrize("labels", [TEXT, NUMBERS], ids=["text", "numbers"])
def test_containers(container, labels):
    y = container(labels)
    classes = tuple(sorted(set(labels)))
    counts = ClassCounts.from_labels(y)
    assert counts == ClassCounts(classes, np.array([labels.count(c) for c in classes]))
    assert {type(c) for c in counts.classes} == {type(labels[0])}
    indices = counts.encode(container(labels))
    assert indices.dtype == np.int64
    assert indices.tolist() == [classes.index(label) for label in labels]
    weighted = ClassCounts.from_labels(container(labels), sample_weight=[1, 2, 4, 8], mask=[1, 1, 1, 0])
    by_hand = {}
    for label, weight in zip(labels[:3], [1, 2, 4], strict=True):
        by_hand[label] = by_hand.get(label, 0) + weight
    assert dict(zip(weighted.classes, weighted.counts.tolist(), strict=True)) == by_hand


def with_missing():
    pd, pl, pa = pytest.importorskip("pandas"), pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    text, numbers = ["b", None, "a", "b"], [3, None, 1, 3]
    return [
        pd.Series(text),
        pd.Series(text, dtype=object),
        pd.Series(text, dtype="category"),
        pd.Series(numbers, dtype="Int64"),
        pd.Series(numbers),  # floats with NaN
        pl.Series(text),
        pl.Series(text).cast(pl.Categorical),
        pl.Series(text, dtype=pl.Enum(["b", "a"])),
        pl.Series(numbers),
        pl.Series([3.0, None, 1.0, float("nan")]).fill_nan(3.0),
        pa.array(text),
        pa.array(text).dictionary_encode(),
        pa.array(text).cast(pa.dictionary(pa.uint8(), pa.string())),
        pa.array(numbers),
        pa.chunked_array([text[:2], text[2:]]),
        np.ma.MaskedArray([3, 9, 1, 3], mask=[0, 1, 0, 0]),
    ]


@pytest.mark.parametrize("i", range(16))
def test_missing_labels(i):
    y = with_missing()[i]
    with pytest.raises(InputError, match=r"1 missing .* of 4"):
        ClassCounts.from_labels(y)
    counts = ClassCounts.from_labels(y, ignore=[None])
    assert sorted(counts.counts.tolist()) == [1, 2]
    indices = counts.encode(y, ignore=[None], ignore_index=-1)
    assert indices[1] == -1
    assert (indices[[0, 2, 3]] >= 0).all()
    assert indices[0] == indices[3] != indices[2]
    with pytest.raises(InputError, match="missing label at position 1"):
        counts.encode(y)


def test_torch():
    torch = pytest.importorskip("torch")
    expected = ClassCounts.from_labels(NUMBERS)
    for dtype in (torch.int64, torch.int8, torch.float32, torch.bfloat16):
        assert ClassCounts.from_labels(torch.tensor(NUMBERS, dtype=dtype)) == expected
    assert ClassCounts.from_labels([torch.tensor(n) for n in NUMBERS]) == expected
    assert ClassCounts.from_labels(torch.tensor([1.0, 2.0], requires_grad=True)).classes == (1, 2)
    assert ClassCounts.from_labels(torch.tensor([True, False])).classes == (False, True)
    assert expected.encode(torch.tensor(NUMBERS)).tolist() == [1, 0, 1, 2]
    masks = torch.zeros((2, 3, 4), dtype=torch.uint8)
    assert ClassCounts.from_labels(masks).containing.tolist() == [24]
    assert ClassCounts.from_counts(torch.tensor([3, 1])) == ClassCounts.from_counts([3, 1])
    weighted = ClassCounts.from_labels(torch.tensor([0, 1]), sample_weight=torch.tensor([0.5, 2.0]))
    assert weighted.counts.tolist() == [0.5, 2.0]


def test_tensorflow():
    tf = pytest.importorskip("tensorflow")
    expected = ClassCounts.from_labels(NUMBERS)
    assert ClassCounts.from_labels(tf.constant(NUMBERS)) == expected
    assert ClassCounts.from_labels(tf.Variable(NUMBERS)) == expected
    assert ClassCounts.from_labels(tf.constant(NUMBERS, dtype=tf.bfloat16)) == expected
    assert ClassCounts.from_labels(tf.constant(TEXT)) == ClassCounts.from_labels(TEXT)  # text, not bytes
    assert ClassCounts.from_labels(TEXT).encode(tf.constant(TEXT)).tolist() == [1, 0, 1, 2]
    batches = tf.data.Dataset.from_tensor_slices(NUMBERS).batch(3)
    assert ClassCounts.from_batches(batches) == expected

    @tf.function(autograph=False)
    def traced(y):
        ClassCounts.from_labels(y)

    with pytest.raises(InputError, match="outside the compiled function"):
        traced(tf.constant(NUMBERS))


def test_jax():
    jax = pytest.importorskip("jax")
    expected = ClassCounts.from_labels(NUMBERS)
    y = jax.numpy.array(NUMBERS)
    assert ClassCounts.from_labels(y) == expected
    assert ClassCounts.from_labels(y.astype("bfloat16")) == expected
    assert expected.encode(y).tolist() == [1, 0, 1, 2]
    with pytest.raises(InputError, match="outside the compiled function"):
        jax.jit(lambda y: ClassCounts.from_labels(y).total)(y)


def test_dates():
    pl, pd = pytest.importorskip("polars"), pytest.importorskip("pandas")
    day, next_day = datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)
    assert ClassCounts.from_labels(pl.Series([next_day, day, day])).classes == (day, next_day)
    stamps = np.array(["2024-01-02", "2024-01-01"], dtype="datetime64[ns]")
    assert ClassCounts.from_labels(stamps).classes == (
        datetime.datetime(2024, 1, 1),
        datetime.datetime(2024, 1, 2),
    )
    assert ClassCounts.from_labels(pd.Series(stamps)).classes == tuple(sorted(pd.Series(stamps)))


def test_counts_of_a_pandas_series_map_its_index():
    pd = pytest.importorskip("pandas")
    y = pd.Series(TEXT)
    assert ClassCounts.from_counts(y.value_counts()) == ClassCounts.from_labels(TEXT)


def test_arrow_corners():
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(InputError, match="2 missing"):
        ClassCounts.from_labels(pa.nulls(2))
    with pytest.raises(InputError, match="no labels"):
        ClassCounts.from_labels(pa.chunked_array([], type=pa.string()))
    with pytest.raises(InputError, match="list"):
        ClassCounts.from_labels(pa.array([[1], [2]]))
    with pytest.raises(InputError, match="pass one of its columns"):
        ClassCounts.from_labels(pa.scalar(3))


@pytest.mark.parametrize("table", [pandas_frame, polars_frame, arrow_table], ids=lambda f: f.__name__)
def test_a_table_with_several_columns_is_refused(table):
    y = table([1, 2])
    wide = {
        "pandas_frame": lambda: y.assign(z=y["y"]),
        "polars_frame": lambda: y.with_columns(z=y["y"]),
        "arrow_table": lambda: y.append_column("z", y.column(0)),
    }[table.__name__]()
    with pytest.raises(InputError, match=r"2 columns.*from_indicators"):
        ClassCounts.from_labels(wide)


def test_weights_load_numpy_and_nothing_heavier():
    code = (
        "import sys, numpy; before = set(sys.modules); import steelyard.weights; "
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "['numpy', 'steelyard']"
