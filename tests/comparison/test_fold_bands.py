import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from steelyard.comparison.fold_bands import FALSE_RATE, RECALL, curve_bands, share_bands
from steelyard.comparison.fold_bands import test_folds as folds_of

REPEATS, N, FOLDS = 2, 600, 5


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    hit = rng.random(N) < 0.2
    proba = 1.0 / (1.0 + np.exp(2.0 - rng.normal(size=(REPEATS, N)) - 2.0 * hit))
    fold = np.array([rng.permutation(N) % FOLDS for _ in range(REPEATS)])
    return proba, hit, fold


def test_bands_are_quantiles_over_folds_of_scikit_learn_s_curves(scored):
    proba, hit, fold = scored
    precisions, recalls = [], []
    for r in range(REPEATS):
        for f in range(FOLDS):
            test = fold[r] == f
            precision, recall, _ = precision_recall_curve(hit[test], proba[r, test])
            # the highest threshold that reaches a recall; scikit-learn goes from the lowest to the highest
            precisions.append([precision[np.flatnonzero(recall >= level - 1e-9)[-1]] for level in RECALL])
            rate, found, _ = roc_curve(hit[test], proba[r, test], drop_intermediate=False)
            recalls.append([found[rate <= level + 1e-12].max() for level in FALSE_RATE])
    bands = curve_bands(proba, hit, fold)
    for name, values in (("precision", precisions), ("recall", recalls)):
        assert bands[f"{name}_low"] == pytest.approx(np.quantile(values, 0.1, axis=0), abs=1e-4)
        assert bands[f"{name}_high"] == pytest.approx(np.quantile(values, 0.9, axis=0), abs=1e-4)


def test_rows_that_were_never_tested_are_left_out(scored):
    proba, hit, fold = scored
    fold[0, :200] = -1
    proba[0, :200] = np.nan
    assert sum(rows.sum() for _, rows in folds_of(fold)) == REPEATS * N - 200
    assert np.isfinite(curve_bands(proba, hit, fold)["precision_low"]).all()


def test_a_fold_without_the_class_is_left_out(scored):
    proba, hit, fold = scored
    alone = curve_bands(proba[:1], hit, np.where(fold[:1] == 0, 0, -1))
    fold[0] = np.where(fold[0] == 0, 0, np.where(hit, -1, 1))  # the other fold has nothing to find
    assert curve_bands(proba[:1], hit, fold[:1]) == alone
    assert curve_bands(proba[:1], np.zeros(N, bool), fold[:1]) == {}


def test_shares_by_bin_are_those_of_each_fold(scored):
    proba, hit, fold = scored
    place = (proba * 4).astype(int)
    found = share_bands(place, hit, fold, 4)
    for k in range(4):
        shares = [hit[rows & (place[r] == k)].mean() for r, rows in folds_of(fold) if (rows & (place[r] == k)).any()]
        assert found["fold_low"][k] == pytest.approx(np.quantile(shares, 0.1), abs=1e-4)
        assert found["fold_high"][k] == pytest.approx(np.quantile(shares, 0.9), abs=1e-4)
