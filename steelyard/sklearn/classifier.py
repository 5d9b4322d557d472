"""`ImbalancedClassifier`: any model on any strategy."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)
from threadpoolctl import threadpool_limits

from steelyard import metrics, sampling, strategies, training
from steelyard.decisions import Costs, best_rule
from steelyard.decisions.cost_files import as_costs
from steelyard.errors import InputError
from steelyard.metrics import Metric
from steelyard.sklearn.columns import Preparation, Table, kinds_of, refuse_arrays, refuse_sparse, table_of
from steelyard.strategies import Strategy
from steelyard.training import Model
from steelyard.tuning import out_of_fold, retraining
from steelyard.tuning.objectives import Objective
from steelyard.tuning.seeds import FINAL, seed
from steelyard.tuning.tasks import Part, Task
from steelyard.weights import ClassCounts
from steelyard.weights.positive import positive_class

__all__ = ["ImbalancedClassifier"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TREES = ("lightgbm", "xgboost", "catboost")
_SETTLED_BY = "balanced_accuracy"  # what a strategy that is settled on inner folds aims at, where nothing else is asked


class ImbalancedClassifier(ClassifierMixin, BaseEstimator):
    r"""A model trained on a strategy, with corrected probabilities and a decision of its own.

    .. math:: \hat p(x) = \text{posterior}(z(x)), \qquad \hat y(x) = \arg\max_k s_k(x)

    where z are the logits of the model, the posterior is corrected for the weights, offsets and rows that the strategy
    trained on (`predict_proba`), and s are the scores of its decision (`decision_function`).

    Parameters
    ----------
    strategy : str or Strategy
        One of `steelyard.strategies.names()`, or `steelyard.strategies.get(name, **parameters)`. "none" is the plain
        model. Default "logit_adjusted".
    model : str, or (str, mapping)
        One of `steelyard.training.names()`, alone or with options: ``("mlp", {"hidden": (32,), "epochs": 20})``.
        Default "mlp".
    metric : str, optional
        A metric of labels ("f1_macro", "balanced_accuracy", "precision@recall>=0.9", "recall_<class>", ...) that the
        decision is tuned for, on out-of-fold probabilities of 3 stratified inner folds of the training rows (2 where a
        class has two rows). A floor such as recall>=0.9 is kept on new rows with confidence 0.9 where the rows are
        enough to promise that, else on average. Default None: the strategy's own decision.
    positive : label, optional
        The positive class of two, for `metric`. Default the rarer one, by weights where rows have them; the
        last where they are equal.
    costs : array-like of shape (C, C), mapping of label to mapping, `Costs` or path, optional
        What mistakes cost: a matrix [truth, label] in the order of `classes_`, or truth → label → cost by name. Labels
        are then those of least expected cost, on `predict_proba`, whatever the strategy trained on. Not together with
        `metric`.
    random_state : int, RandomState instance or None
        Of inner folds, drawn rows, initial weights and orders. An int gives the model that `sy.compare` trains on all
        rows with the same random_state.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where `X` had names of columns, all of them text.
    counts_ : ClassCounts
        Rows of each class, or sums of `sample_weight`; classes by position.
    loss_ : steelyard.losses.Loss
        What the model was trained on at the end.
    model_ : steelyard.training.TrainedModel
    point_ : steelyard.strategies.Point
        What the strategy came to on `counts_`.
    rule_ : Threshold, PlugIn or None
        The tuned decision, of class positions.
    costs_ : Costs or None
        The costs, with classes in the order of `classes_`; ``print(clf.costs_)`` says what they mean.
    preparation_ : Preparation
        The fitted SimpleImputer, StandardScaler and OneHotEncoder that features go through.

    Notes
    -----
    Features are numbers, which may be missing (NaN), and in a pandas, polars or Arrow table texts and categories too,
    as `sy.compare` takes them: a missing number becomes the median of the rows trained on, beside a column that says
    so; of texts, missing being one, each level becomes a column, and those of fewer than 5 rows (below 50 rows, of
    fewer than a tenth), beyond the 40 most frequent, or never seen in training share one. Medians and frequent levels
    count rows, not weights. Numbers are brought to mean 0 and variance 1, which "linear" and "mlp" need; trees get
    them as they are, except for SMOTE, whose neighbours need one scale. Sparse features are refused.

    A model is trained on one thread, so that its numbers do not depend on how many there are: use ``n_jobs`` of what
    searches or validates. A fit that has not settled is a ConvergenceWarning. `training.Model` is a model too.

    References
    ----------
    Of each strategy: `steelyard.strategies.get(name).source`.

    Examples
    --------
    >>> import numpy as np
    >>> import steelyard as sy
    >>> rng = np.random.default_rng(0)
    >>> y = np.where(rng.random(500) < 0.1, "ill", "well")
    >>> X = rng.normal(size=(500, 3)) + 1.5 * (y == "ill")[:, None]
    >>> plain = sy.sklearn.ImbalancedClassifier("none", model="linear").fit(X, y)
    >>> adjusted = sy.sklearn.ImbalancedClassifier("logit_adjusted", model="linear").fit(X, y)
    >>> [int((one.predict(X) == "ill").sum()) for one in (plain, adjusted)], int((y == "ill").sum())
    ([36, 88], 47)
    >>> adjusted.predict_proba(X).mean(0).round(2)
    array([0.09, 0.91])

    Labels of least expected cost:

    >>> costs = {"ill": {"well": 10}, "well": {"ill": 1}}
    >>> careful = sy.sklearn.ImbalancedClassifier("none", model="linear", costs=costs).fit(X, y)
    >>> print(careful.costs_)
    One missed ill costs as much as 10 false alarms; act on a row when its probability of ill is above 9.1 %.
    Class weights say the same: ill 10, well 1.
    >>> int((careful.predict(X) == "ill").sum()), bool((careful.predict_proba(X) == plain.predict_proba(X)).all())
    (90, True)
    """

    def __init__(
        self,
        strategy: str | Strategy = "logit_adjusted",
        model: Any = "mlp",
        metric: str | None = None,
        positive: Any = None,
        random_state: Any = None,
        costs: Any = None,
    ) -> None:
        self.strategy = strategy
        self.model = model
        self.metric = metric
        self.positive = positive
        self.random_state = random_state
        self.costs = costs

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> ImbalancedClassifier:
        r"""Train on all rows.

        Parameters
        ----------
        X : array-like of numbers or table, shape (n, d)
        y : array-like of shape (n,)
            Labels of two classes or more.
        sample_weight : array-like of shape (n,), optional
            Not negative: how many rows each row stands for; one of weight 0 is left out. Bring weights that are no
            numbers of rows to mean 1: penalties, least sizes of leaves and some strategies depend on their size.
            The strategy is resolved on the sums of weights per class, its own weights of rows are multiplied by these,
            and samplers make sums of weights equal. "linear": a row of weight k is k rows, exactly; the objective is
            scikit-learn's, :math:`\|W\|^2 / 2 + \sum_i s_i \omega_i \ell_i` with ω of mean 1. Trees: as in the
            libraries, whose bins and `min_child_samples` count rows. "mlp": a pass over the rows takes a row of weight
            k k times, so that whole numbers are so many rows, exactly, and take as long; other weights are first
            brought to mean 1, and a pass takes a row of weight 2.3 two times or three, 2.3 on average: an
            approximation by drawing. Not with the strategy "smote", nor with one that is settled on inner folds
            ("tuned_weights"), nor with a metric that has a floor.

        Returns
        -------
        ImbalancedClassifier
            Itself.

        Raises
        ------
        InputError
            If a parameter or the labels cannot be used, or the model cannot be trained on them.
        """
        kind, strategy = self._kind(), self._strategy()
        table, y = self._rows(X, y)
        check_classification_targets(y)
        weight: Floats | None = None
        if sample_weight is not None:
            weight = _check_sample_weight(sample_weight, table.numbers, dtype=np.float64, ensure_non_negative=True)
            if not weight.all():
                table, y, weight = table[weight > 0], np.asarray(y)[weight > 0], weight[weight > 0]
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            got = f"one class, {self.classes_[0]}" if len(self.classes_) else "none"
            raise InputError(
                "rows of at least two classes in `y`", got if weight is None else f"{got} of positive weight"
            )
        self.costs_ = self._stated()
        rows = _Rows(self, kind, strategy, table, np.asarray(codes, np.int64), weight, self._state())
        with threadpool_limits(1):
            rows.train()
        return self

    def _rows(self, X: Any, y: Any) -> tuple[Table, Any]:
        """Return the table of a fit and its labels."""
        refuse_sparse(X)
        self._kinds = kinds_of(X)
        if self._kinds is None:
            X, y = validate_data(self, X, y, dtype=np.float64, ensure_all_finite="allow-nan")
            return Table(X), y
        validate_data(self, X, y, skip_check_array=True)
        table, y = table_of(X, self._kinds), column_or_1d(y, warn=True)
        check_consistent_length(table, y)
        assert_all_finite(y, input_name="y")
        return table, y

    def _new_rows(self, X: Any) -> Table:
        """Return a table to predict, which has to be like that of the fit."""
        refuse_sparse(X)
        if self._kinds is None:
            return Table(validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False))
        refuse_arrays(X)
        validate_data(self, X, skip_check_array=True, reset=False)
        return table_of(X, self._kinds)

    def _stated(self) -> Costs | None:
        if self.costs is None:
            return None
        if self.metric is not None:
            raise InputError(
                "`metric` or `costs`", "both", "with costs the label is the cheapest; metric=None leaves it at that."
            )
        stated = as_costs(self.costs, self.classes_.tolist())
        if stated.columns:
            raise InputError(
                "costs that are all numbers",
                f"the column {stated.columns[0]!r}",
                "sy.compare takes costs of each row; sy.decisions.min_cost decides by them.",
            )
        return stated

    def _kind(self) -> Model:
        if not isinstance(self.model, str | tuple | Model):
            listed = ", ".join(training.names())
            raise InputError(f"`model` as a name ({listed}) or (name, options)", repr(self.model))
        models = training.read(self.model)
        if len(models) > 1:
            raise InputError("one `model`", f"{len(models)} of them", "GridSearchCV tries several.")
        if models[0].source is not None:
            listed = ", ".join(training.names())
            hint = "sy.compare takes models of your own."
            raise InputError(f"`model` among {listed}", repr(models[0].name), hint)
        return models[0]

    def _strategy(self) -> Strategy:
        return self.strategy if isinstance(self.strategy, Strategy) else strategies.get(self.strategy)

    def _state(self) -> int:
        # a number is itself, so that the comparison's model of the same number is the same
        if isinstance(self.random_state, int | np.integer) and self.random_state >= 0:
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _logits(self, X: Any) -> Floats:
        check_is_fitted(self, "model_")
        return training.logits(self.model_, self.preparation_.transform(self._new_rows(X)))

    def _scores(self, X: Any) -> Floats:
        logits = self._logits(X)
        if self.costs_ is not None:
            costs = self.costs_.matrix
            p = np.asarray(self.point_.posterior(logits), np.float64)
            return np.asarray(-(p @ (costs - np.diag(costs)[:, None])))
        scores = self.point_.scores(logits) if self.rule_ is None else self.rule_.scores(self.point_.posterior(logits))
        return np.asarray(scores, np.float64)

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return probabilities, corrected for what the strategy did in training.

        Parameters
        ----------
        X : array-like or table of shape (n, d)

        Returns
        -------
        float64 ndarray of shape (n, C)
            In the order of `classes_`.
        """
        logits = self._logits(X)
        return np.asarray(self.point_.posterior(logits))

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the scores by which labels are decided.

        Parameters
        ----------
        X : array-like or table of shape (n, d)

        Returns
        -------
        float64 ndarray of shape (n,) or (n, C)
            Two classes: above 0 where the label is ``classes_[1]``, in the order of its probability. More: the largest
            of a row is its label. Logits for most strategies; with a tuned decision probabilities, less their threshold
            or times their weight.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return labels: the strategy's own decision, the one that was tuned for `metric`, or the cheapest by `costs`.

        Parameters
        ----------
        X : array-like or table of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
        """
        scores = self._scores(X)
        return np.asarray(self.classes_[scores.argmax(1)])


class _Rows:
    """The rows of a fit, and what is trained on them: the model, and the inner folds that its decision is tuned on."""

    def __init__(
        self,
        to: ImbalancedClassifier,
        kind: Model,
        strategy: Strategy,
        table: Table,
        y: Ints,
        weight: Floats | None,
        state: int,
    ) -> None:
        self.to, self.kind, self.strategy = to, kind, strategy
        self.table, self.y, self.weight, self.state = table, y, weight, state
        self.n_classes = len(to.classes_)
        self.counts = out_of_fold.counts_of(y, self.n_classes, weight)
        self.positive = positive_class(self._named(), to.positive, "y")
        self.aim = self._aim()

    def _named(self) -> ClassCounts:
        return ClassCounts.from_counts(self.counts.counts, classes=self.to.classes_.tolist())

    def _aim(self) -> Metric | None:
        name = self.to.metric
        if name is None:
            return None
        metric = metrics.get(name, self.to.classes_.tolist(), self.positive, self.counts.priors)
        if metric.of_confusion is None and metric.floor is None:
            raise InputError(
                "`metric` that depends on a decision, or None",
                f"'{name}'",
                "f1_macro and balanced_accuracy do; metric=None leaves the strategy's own decision.",
            )
        if metric.floor is not None and self.weight is not None:
            raise InputError(
                f"no `sample_weight` with the metric '{name}'", "one", "a floor is promised by numbers of rows."
            )
        return metric

    def train(self) -> None:
        """Train the model and its decision, and leave them with the classifier."""
        to, strategy = self.to, self._settled()
        point = training.resolve(self.kind, strategy, self.counts)
        every = np.arange(len(self.y))
        part, to.preparation_ = self._part(every, every[:0])
        one = out_of_fold.fitted(self.kind, part, point, self.n_classes)
        to.rule_ = None
        if self.aim is not None:
            inner = self._inner()
            proba = out_of_fold.posteriors(self.kind, strategy, inner, len(self.y), self.n_classes, one)
            to.rule_ = best_rule(proba, self.y, self.aim, self.positive, sample_weight=self.weight)
        if not np.isfinite(point.posterior(training.logits(one.model, part.X))).all():
            raise InputError("a model with finite probabilities", "NaN or infinite ones", "its training diverged.")
        if one.trouble is not None:
            warnings.warn(f"{self.kind} with '{strategy.name}' {one.trouble}", ConvergenceWarning, stacklevel=3)
        to.model_, to.point_, to.counts_, to.loss_ = one.model, point, self.counts, point.last_loss

    def _settled(self) -> Strategy:
        if not self.strategy.needs_inner:
            return self.strategy
        if self.weight is not None:
            raise InputError(f"no `sample_weight` with the strategy '{self.strategy.name}'", "one")
        every = np.arange(len(self.y))
        part, _ = self._part(every, every[:0])
        task = Task(self.strategy.name, part, tuple(self._inner()), self.n_classes)
        aim = self.aim or metrics.get(_SETTLED_BY, self.to.classes_.tolist(), self.positive)
        return retraining.settled(
            self.strategy, self.kind, task, Objective(aim, self.n_classes, self.positive, "default")
        )

    def _inner(self) -> Iterator[tuple[NDArray[np.intp], Part]]:
        folds = out_of_fold.inner_folds(self.y, seed(self.state, "inner folds", *FINAL))
        for place, (kept, held_out) in enumerate(folds, start=1):
            yield held_out, self._part(kept, held_out, place)[0]

    def _part(self, kept: NDArray[np.intp], held_out: NDArray[np.intp], *place: int) -> tuple[Part, Any]:
        """Return rows of one fit, as numbers, and what made them numbers, learnt from the rows that are kept."""
        weight = None if self.weight is None else self.weight[kept]
        scaled = self.kind.name not in _TREES or self._sampler() == sampling.SYNTHETIC
        preparation = Preparation(scaled).fit(self.table[kept], weight)
        X = preparation.transform(self.table[kept])
        score = preparation.transform(self.table[held_out]) if len(held_out) else np.empty((0, X.shape[1]))
        return Part(X, self.y[kept], score, seed(self.state, "sampling", *FINAL, *place), weight), preparation

    def _sampler(self) -> str | None:
        return self.strategy.resolve(self.counts).sampler
