from __future__ import annotations

import copy
import json
import pickle
from collections import Counter

import numpy as np
import pytest

import steelyard as sy
from steelyard.errors import InputError
from steelyard.weights import OneHotWarning, as_counts

ClassCounts = sy.ClassCounts


def as_dict(counts):
    return dict(zip(counts.classes, counts.counts.tolist(), strict=True))


def test_counts_agree_with_the_standard_library():
    y = ["b", "a", "b", "c", "b"]
    counts = ClassCounts.from_labels(y)
    assert as_dict(counts) == Counter(y)
    assert counts.classes == ("a", "b", "c")
    assert counts.counts.dtype == np.int64
    assert counts.total == 5
    assert counts.n_classes == len(counts) == 3
    np.testing.assert_array_equal(counts.priors, [1 / 5, 3 / 5, 1 / 5])
    assert counts.imbalance_ratio == 3.0


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([2, 1, 2], (1, 2)),
        ([True, False, True], (False, True)),
        ([("b", 1), ("a", 2), ("b", 1)], (("a", 2), ("b", 1))),
        (["b", 1, "a", 1], ("b", 1, "a")),  # do not sort: order of appearance
        ([2.0, 1.0, 2.0], (1, 2)),
        ([10**30, 1], (1, 10**30)),
        ([np.int8(3), np.float32(1.0), np.str_("x")], (3, 1, "x")),
        ([frozenset("b"), frozenset("a")], (frozenset("b"), frozenset("a"))),
        (("x", "y"), ("x", "y")),
        (range(3), (0, 1, 2)),
        ((c for c in "ab"), ("a", "b")),
        ({"k": "b"}.values(), ("b",)),
    ],
)
def test_any_hashable_label(y, classes):
    counts = ClassCounts.from_labels(y)
    assert counts.classes == classes
    assert [type(c) for c in counts.classes] == [type(c) for c in classes]


def test_declared_classes_keep_absent_ones_and_their_order():
    counts = ClassCounts.from_labels(["b", "a"], classes=["c", "b", "a"])
    assert as_dict(counts) == {"c": 0, "b": 1, "a": 1}
    assert counts.classes == ("c", "b", "a")
    assert counts.present.tolist() == [False, True, True]


def test_filled_gives_absent_classes_the_count_of_the_rarest_present_one():
    np.testing.assert_array_equal(ClassCounts.from_counts([7, 0, 3, 0]).filled, [7, 3, 3, 3])
    np.testing.assert_array_equal(ClassCounts.from_counts([0.5, 0]).filled, [0.5, 0.5])


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan])
def test_missing_labels_can_be_ignored(missing):
    assert as_dict(ClassCounts.from_labels(["a", missing, "a"], ignore=[None])) == {"a": 2}
    assert as_dict(ClassCounts.from_labels(["a", missing, "a"], ignore=float("nan"))) == {"a": 2}


def test_ignored_labels():
    assert as_dict(ClassCounts.from_labels([0, 255, 1, 255], ignore=255)) == {0: 1, 1: 1}
    assert as_dict(ClassCounts.from_labels([0, 255, -1], ignore=[255, -1])) == {0: 1}
    assert as_dict(ClassCounts.from_labels(["a", "?", None], ignore={"?", None})) == {"a": 1}
    assert as_dict(ClassCounts.from_labels([("a", 1), ("b", 2)], ignore=[("a", 1)])) == {("b", 2): 1}
    assert as_dict(ClassCounts.from_labels(np.array([1.0, np.nan, -7.0]), ignore=[None, -7])) == {1: 1}


def test_sample_weights_are_summed_per_class():
    y, s = [2, 0, 2, 1], [0.5, 1.5, 0.25, 0.0]
    counts = ClassCounts.from_labels(y, sample_weight=s)
    np.testing.assert_array_equal(counts.counts, np.bincount(y, s))
    assert counts.counts.dtype == np.float64
    assert counts.classes == (0, 1, 2)  # a class whose rows weigh nothing still has its place


def test_mask_leaves_entries_out_whatever_they_hold():
    y = np.array([0.0, 1.0, 0.5, np.nan, 1.0])
    assert as_dict(ClassCounts.from_labels(y, mask=[1, 1, 0, 0, 1])) == {0: 1, 1: 2}
    assert as_dict(ClassCounts.from_labels(["a", "b"], mask=np.array([True, False]))) == {"a": 1}


def test_masks_count_pixels_and_the_images_that_contain_a_class():
    # by hand: image 0 has 5 kept pixels and classes 0, 1; image 1 has 6 and classes 0, 2; image 2 only class 0
    y = np.array([[[0, 0, 0], [1, 1, 255]], [[0, 2, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]], dtype=np.uint8)
    counts = ClassCounts.from_labels(y, ignore=255)
    assert as_dict(counts) == {0: 14, 1: 2, 2: 1}
    assert counts.containing.tolist() == [17, 5, 6]
    per_image = sum(ClassCounts.from_labels(image[None], ignore=255) for image in y)
    assert per_image == counts
    assert ClassCounts.from_labels(y.astype(float), ignore=255) == counts
    text = np.array(["sky", "car", "man", "?"], dtype=object)[np.minimum(y, 3)]
    named = ClassCounts.from_labels(text, ignore="?", classes=["sky", "car", "man"])
    assert named.counts.tolist() == [14, 2, 1]
    assert named.containing.tolist() == [17, 5, 6]


def test_masks_with_weights_and_a_mask():
    y = np.array([[[0, 1]], [[0, 0]]])
    by_image = ClassCounts.from_labels(y, sample_weight=[2.0, 3.0])
    np.testing.assert_array_equal(by_image.counts, [8.0, 2.0])
    np.testing.assert_array_equal(by_image.containing, [10.0, 4.0])
    by_pixel = ClassCounts.from_labels(y, sample_weight=np.array([[[1.0, 0.0]], [[1.0, 4.0]]]))
    np.testing.assert_array_equal(by_pixel.counts, [6.0, 0.0])
    np.testing.assert_array_equal(by_pixel.containing, [6.0, 0.0])  # weightless pixels are not there
    masked = ClassCounts.from_labels(y, mask=np.array([[[True, True]], [[False, True]]]))
    assert (masked.counts.tolist(), masked.containing.tolist()) == ([2, 1], [3, 2])


def test_masks_of_scattered_labels_agree_with_a_loop():
    rng = np.random.default_rng(0)
    names = rng.integers(-(2**60), 2**60, 300)
    y = names[rng.integers(0, 300, (40, 9, 7))]
    counts = ClassCounts.from_labels(y)
    by_hand = {c: sum(63 for image in y if c in image) for c in names.tolist()}
    assert as_dict(counts) == Counter(y.ravel().tolist())
    assert dict(zip(counts.classes, counts.containing.tolist(), strict=True)) == {c: by_hand[c] for c in counts.classes}


def test_a_column_is_a_list_of_labels():
    counts = ClassCounts.from_labels(np.array([[0], [1], [1]]))
    assert counts == ClassCounts.from_labels([0, 1, 1])
    assert counts.containing is None
    assert ClassCounts.from_labels(np.array([[0], [1]]), sample_weight=[1, 2]).counts.tolist() == [1.0, 2.0]


def test_nested_lists_and_lists_of_arrays():
    assert as_dict(ClassCounts.from_labels([["a", 1], ["a", "b"]])) == {"a": 2, 1: 1, "b": 1}
    assert as_dict(ClassCounts.from_labels([np.array([[0, 1]]), np.array([[1, 1]])])) == {0: 1, 1: 3}
    assert as_dict(ClassCounts.from_labels([np.array(3), np.array(3)])) == {3: 2}


def test_one_hot_rows_are_warned_of():
    with pytest.warns(OneHotWarning, match="from_indicators") as caught:
        ClassCounts.from_labels(np.eye(3, dtype=int)[[0, 1, 1, 2]])
    assert caught[0].filename == __file__
    ClassCounts.from_labels(np.array([[0, 1], [1, 1]]))  # a binary mask is not


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])
def test_every_integer_and_float_type(dtype):
    base = np.random.default_rng(0).integers(0, 100, 300_000)
    counts = ClassCounts.from_labels(base.astype(dtype))
    np.testing.assert_array_equal(counts.counts, np.bincount(base))
    assert all(type(c) is int for c in counts.classes)


@pytest.mark.parametrize("shift", [-(2**62), -1000, 7, 2**40])
def test_shifted_and_scattered_integers(shift):
    y = np.random.default_rng(1).integers(0, 50, 400_000) + shift
    y[0], y[-1] = 0, 2**50  # far away from the others
    keys, totals = np.unique(y, return_counts=True)
    counts = ClassCounts.from_labels(y)
    assert counts.classes == tuple(keys.tolist())
    np.testing.assert_array_equal(counts.counts, totals)
    weighted = ClassCounts.from_labels(y, sample_weight=np.full(y.size, 0.5))
    np.testing.assert_array_equal(weighted.counts, totals / 2)


def test_strided_views():
    y = np.arange(20) % 3
    assert ClassCounts.from_labels(y[::3]) == ClassCounts.from_labels(y[::3].tolist())


def test_unsigned_labels_beyond_63_bits():
    y = np.array([2**63 + 5, 1, 2**63 + 5], dtype=np.uint64)
    assert as_dict(ClassCounts.from_labels(y)) == {1: 1, 2**63 + 5: 2}


# ---------------------------------------------------------------------- merging, batches, JSON


def test_merging_is_a_union():
    a, b = ClassCounts.from_labels(["x", "y"]), ClassCounts.from_labels(["y", "z"])
    assert as_dict(a + b) == {"x": 1, "y": 2, "z": 1}
    assert a + b == b + a
    assert sum([a, b]) == a + b
    weighted = ClassCounts.from_labels(["y"], sample_weight=[0.5])
    assert as_dict(a + weighted) == {"x": 1, "y": 1.5}
    declared = ClassCounts.from_labels(["low"], classes=["low", "mid", "high"])
    part = ClassCounts.from_labels(["high", "low"])
    assert (declared + part).classes == (part + declared).classes == ("low", "mid", "high")


def test_from_batches_streams():
    batches = ([i % 3, "x"] for i in range(10))
    assert as_dict(ClassCounts.from_batches(batches)) == {0: 4, "x": 10, 1: 3, 2: 3}
    assert ClassCounts.from_batches([], classes=["a"]).counts.tolist() == [0]
    masks = np.zeros((4, 2, 2), int)
    assert ClassCounts.from_batches([masks[:1], masks[1:]]) == ClassCounts.from_labels(masks)


def test_an_empty_part_is_neutral():
    masks = ClassCounts.from_labels(np.array([[0, 1], [1, 1]]))
    nothing = ClassCounts.from_labels([], classes=[0, 1])
    assert nothing.total == 0
    assert masks + nothing == nothing + masks == masks


def test_from_counts():
    assert as_dict(ClassCounts.from_counts({"b": 2, "a": 1})) == {"a": 1, "b": 2}
    assert ClassCounts.from_counts({"b": 2, "a": 1}, classes=["b", "c", "a"]).counts.tolist() == [2, 0, 1]
    assert as_dict(ClassCounts.from_counts(np.array([3, 1]), classes=["n", "p"])) == {"n": 3, "p": 1}
    assert ClassCounts.from_counts([1.5, 2]).counts.dtype == np.float64
    assert ClassCounts.from_counts(Counter("aab")) == ClassCounts.from_labels(list("aab"))
    assert ClassCounts.from_counts([10**25, 1]).total == 1e25
    assert as_counts([1, 2]) == ClassCounts.from_counts({0: 1, 1: 2})
    counts = ClassCounts.from_counts([1, 2])
    assert as_counts(counts) is counts


def test_indicators_count_positives_per_label():
    Y = np.random.default_rng(0).integers(0, 2, (500, 4))
    s = np.random.default_rng(1).random(500)
    keep = s > 0.5
    counts = ClassCounts.from_indicators(Y)
    assert (counts.counts.tolist(), counts.total) == (Y.sum(axis=0).tolist(), 500)
    np.testing.assert_allclose(counts.priors, Y.mean(axis=0), rtol=1e-15)
    weighted = ClassCounts.from_indicators(Y.astype(bool), sample_weight=s, mask=keep)
    np.testing.assert_allclose(weighted.counts, s[keep] @ Y[keep], rtol=1e-13)
    assert weighted.total == pytest.approx(s[keep].sum(), rel=1e-13)
    halves = ClassCounts.from_indicators(Y[:200]) + ClassCounts.from_indicators(Y[200:])
    assert halves == counts


def test_indicators_from_tables_and_sparse_matrices():
    pd, pl, pa = pytest.importorskip("pandas"), pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    sparse = pytest.importorskip("scipy.sparse")
    columns = {"sea": [1, 1, 0], "ship": [0, 1, 0]}
    expected = ClassCounts.from_indicators([[1, 0], [1, 1], [0, 0]], classes=["sea", "ship"])
    for table in (pd.DataFrame(columns), pl.DataFrame(columns), pa.table(columns)):
        assert ClassCounts.from_indicators(table) == expected
    matrix = sparse.csr_array(np.array([[1, 0], [1, 1], [0, 0]]))
    assert ClassCounts.from_indicators(matrix, classes=["sea", "ship"]) == expected
    weighted = ClassCounts.from_indicators(matrix, sample_weight=[2, 3, 4], mask=[1, 0, 1])
    assert (weighted.counts.tolist(), weighted.total) == ([2.0, 0.0], 6.0)


@pytest.mark.parametrize(
    "counts",
    [
        ClassCounts.from_labels(["a", "b", "a"]),
        ClassCounts.from_counts({("a", (1, True)): 2, ("b", (2, False)): 1}),
        ClassCounts.from_labels([1, 2], sample_weight=[0.1, 0.2]),
        ClassCounts.from_labels(np.array([[0, 1], [1, 1]])),
        ClassCounts.from_indicators([[1, 0], [1, 1]]),
    ],
    ids=["text", "tuples", "weighted", "masks", "indicators"],
)
def test_json_pickle_and_copies(counts):
    back = ClassCounts.from_dict(json.loads(json.dumps(counts.to_dict())))
    for same in (back, pickle.loads(pickle.dumps(counts)), copy.deepcopy(counts)):
        assert same == counts
        assert hash(same) == hash(counts)
        assert same.counts.dtype == counts.counts.dtype
        assert not same.counts.flags.writeable


def test_counts_do_not_change():
    array = np.array([1, 2])
    counts = ClassCounts.from_counts(array)
    array[0] = 99
    assert counts.counts.tolist() == [1, 2]
    with pytest.raises(ValueError, match="read-only"):
        counts.counts[0] = 5
    with pytest.raises(AttributeError):
        counts.classes = ("x",)
    assert counts != "something else"


def test_repr_is_short():
    assert repr(ClassCounts.from_counts(range(1000))) == (
        "ClassCounts({0: 0, 1: 1, 2: 2, 3: 3, 4: 4, ... 995 more}, total=499500)"
    )


# ---------------------------------------------------------------------- encoding


def test_encode_agrees_with_scikit_learn():
    encoder = pytest.importorskip("sklearn.preprocessing").LabelEncoder()
    y = np.random.default_rng(0).choice(["d", "a", "c"], 1000)
    counts = ClassCounts.from_labels(y)
    np.testing.assert_array_equal(counts.encode(y), encoder.fit_transform(y))
    assert counts.encode(y).dtype == np.int64


def test_encode_integers_of_every_range():
    rng = np.random.default_rng(0)
    for names in (np.array([-3, 0, 7]), rng.integers(-(2**60), 2**60, 50), np.array([5])):
        y = rng.choice(names, (200, 3, 2))
        counts = ClassCounts.from_labels(y)
        expected = np.searchsorted(np.unique(y), y)
        np.testing.assert_array_equal(counts.encode(y), expected)
    counts = ClassCounts.from_counts({2: 1, 1: 1, "x": 1}, classes=[2, "x", 1])
    assert counts.encode(np.array([1.0, 2.0, np.nan]), ignore=[None], ignore_index=-1).tolist() == [2, 0, -1]
    assert counts.encode([2, "x", None], ignore=[None]).tolist() == [0, 1, -100]
    assert ClassCounts.from_counts([1, 2]).encode([True, False]).tolist() == [1, 0]
    assert ClassCounts.from_counts([1, 2]).encode(np.array([[1, 255]]), ignore=255).tolist() == [[1, -100]]


# ---------------------------------------------------------------------- bad input: one test per message

WHOLE = ClassCounts.from_counts({"cat": 3, "dog": 1})

BAD = {
    "regression": (lambda: ClassCounts.from_labels([0.0, 0.37]), r"0\.37 at position 1.*regression target"),
    "regression in objects": (lambda: ClassCounts.from_labels([0.5, "a"]), "regression target"),
    "regression in a mask": (lambda: ClassCounts.from_labels(np.array([[0, 0.5]])), r"position \(0, 1\)"),
    "infinite": (lambda: ClassCounts.from_labels(np.array([1.0, np.inf])), "inf at position 1"),
    "missing": (lambda: ClassCounts.from_labels(["a", None, np.nan]), r"2 missing .* of 3.*ignore=\[None\]"),
    "nan": (lambda: ClassCounts.from_labels(np.array([1, np.nan])), "1 missing"),
    "empty": (lambda: ClassCounts.from_labels([]), r"no labels.*classes=\[\.\.\.\]"),
    "all ignored": (lambda: ClassCounts.from_labels([1, 1], ignore=1), "2 labels, all ignored"),
    "empty batches": (lambda: ClassCounts.from_batches([[], []]), "iterator used up"),
    "labels as batches": (lambda: ClassCounts.from_batches(["a", "b"]), "single label 'a'.*from_labels"),
    "outside classes": (lambda: ClassCounts.from_labels(["cat"], classes=["cart", "dog"]), "'cat' 1 times.*'cart'"),
    "both": (lambda: ClassCounts.from_labels([1], classes=[1, 2], ignore=2), "both in `classes` and in `ignore`"),
    "classes twice": (lambda: ClassCounts.from_labels([1], classes=[1, 1.0]), "1 twice"),
    "classes missing": (lambda: ClassCounts.from_labels([1], classes=[1, None]), "None or NaN"),
    "classes text": (lambda: ClassCounts.from_labels(["ab"], classes="ab"), r"did you mean \['ab'\]"),
    "text": (lambda: ClassCounts.from_labels("cat"), r"wrap a single label in a list"),
    "scalar array": (lambda: ClassCounts.from_labels(np.array(3)), "without dimensions"),
    "mapping": (lambda: ClassCounts.from_labels({"a": 3}), "from_counts"),
    "complex": (lambda: ClassCounts.from_labels(np.array([1j])), "dtype complex128"),
    "ragged": (lambda: ClassCounts.from_labels([[0, 1], [0]]), "from_batches"),
    "ragged arrays": (lambda: ClassCounts.from_labels([np.zeros(2), np.zeros(3)]), "from_batches"),
    "unhashable": (lambda: ClassCounts.from_labels(["a", {"b": 1}]), "a dict at position 1"),
    "unhashable class": (lambda: ClassCounts.from_labels(["a"], classes=[["a"]]), "hashable.*list"),
    "weight sign": (lambda: ClassCounts.from_labels([1, 2], sample_weight=[1, -2]), "-2.0 at position 1"),
    "weight nan": (lambda: ClassCounts.from_labels([1, 2], sample_weight=[np.nan, 1]), "nan at position 0"),
    "weight shape": (lambda: ClassCounts.from_labels([1, 2], sample_weight=[1]), r"shape \(2,\).*shape \(1,\)"),
    "weight text": (lambda: ClassCounts.from_labels([1], sample_weight=["x"]), "as numbers"),
    "mask values": (lambda: ClassCounts.from_labels([1], mask=[2]), "booleans"),
    "mask shape": (lambda: ClassCounts.from_labels([1, 2], mask=[True]), "`mask` of the labels' shape"),
    "count sign": (lambda: ClassCounts.from_counts({"a": 3, "b": -1}), "-1 for 'b'"),
    "count nan": (lambda: ClassCounts.from_counts([1.0, np.nan]), "nan for 1"),
    "count text": (lambda: ClassCounts.from_counts(["a", "b"]), "from_labels"),
    "count none": (lambda: ClassCounts.from_counts({"a": None}), "nan for 'a'"),
    "count object": (lambda: ClassCounts.from_counts({"a": [1, 2]}), "one count for each"),
    "count of missing": (lambda: ClassCounts.from_counts({None: 1}), "missing label"),
    "count 2-d": (lambda: ClassCounts.from_counts([[1, 2]]), r"shape \(1, 2\)"),
    "count empty": (lambda: ClassCounts.from_counts({}), "no counts"),
    "count unknown": (lambda: ClassCounts.from_counts({"a": 1}, classes=["b"]), "'a' as a key"),
    "count shape": (lambda: ClassCounts.from_counts([1, 2], classes=["a"]), "one count for each of 1"),
    "indicator values": (lambda: ClassCounts.from_indicators([[0, 1], [2, 1]]), "2 in row 1, column 0"),
    "indicator nan": (lambda: ClassCounts.from_indicators([[0, np.nan]]), "nan in row 0, column 1"),
    "indicator masked": (
        lambda: ClassCounts.from_indicators([[5, 0], [0, 1], [3, 1]], mask=[0, 1, 1]),
        "3 in row 2, column 0",
    ),
    "indicator labels": (lambda: ClassCounts.from_indicators([0, 1]), "from_labels"),
    "indicator empty": (lambda: ClassCounts.from_indicators(np.zeros((0, 2))), "at least one row"),
    "indicator text": (lambda: ClassCounts.from_indicators([["a"]]), "dtype <U1"),
    "indicator names": (lambda: ClassCounts.from_indicators([[0, 1]], classes=["a"]), "2 labels, one per column"),
    "rows": (lambda: ClassCounts((0,), np.array([5]), rows=3), "at least the largest count"),
    "kinds": (lambda: ClassCounts.from_counts([1]) + ClassCounts.from_indicators([[1]]), "one kind"),
    "masks and labels": (
        lambda: ClassCounts.from_labels(np.array([[0, 1]])) + ClassCounts.from_labels([0]),
        "masks and of plain labels",
    ),
    "priors of nothing": (lambda: ClassCounts.from_labels([], classes=[1]).priors, "count above 0"),
    "filled of nothing": (lambda: ClassCounts.from_labels([], classes=[1]).filled, "count above 0"),
    "encode unknown": (lambda: WHOLE.encode(["dog", "cart"]), "'cart' at position 1.*did you mean 'cat'"),
    "encode integer": (lambda: WHOLE.encode([1]), "1 at position 0.*never counted"),
    "encode number": (lambda: ClassCounts.from_counts([1, 2]).encode(np.array([[0, 9]])), r"9 at position \(0, 1\)"),
    "encode fraction": (lambda: ClassCounts.from_counts([1, 2]).encode([0.0, 0.5]), "0.5 at position 1"),
    "encode missing": (lambda: WHOLE.encode(["dog", None]), "missing label at position 1"),
    "json": (lambda: ClassCounts.from_counts({b"x": 1}).to_dict(), "labels that JSON knows"),
    "from_dict": (lambda: ClassCounts.from_dict({"a": 3}), "from_counts"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    call, message = BAD[case]
    with pytest.raises(InputError, match=message):
        call()


def test_sum_starts_from_zero_only():
    with pytest.raises(TypeError):
        sum([WHOLE], start=1)
