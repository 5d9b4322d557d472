"""The trained winner as a scikit-learn classifier."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

import steelyard
from steelyard import strategies, training
from steelyard.comparison.dataset import from_memory
from steelyard.comparison.final import Final, fit_final
from steelyard.comparison.new_rows import selected
from steelyard.comparison.settings import settings
from steelyard.decisions.row_costs import RowCosts
from steelyard.errors import InputError, did_you_mean, one_of

__all__ = ["Classifier", "trained"]

Floats = NDArray[np.float64]


class Classifier(ClassifierMixin, BaseEstimator):
    """One model, one strategy, one decision: what a comparison recommends.

    `sy.compare(...).model` and `sy.load` give it trained. It takes the columns of the training table in any order, in
    any kind of table; columns that it does not know are ignored, levels that it never saw are treated as rare ones,
    and missing values as in training.

    Parameters
    ----------
    model : str, or a model of your own
        One of `steelyard.training.names()`, or anything that `sy.compare` takes as a model.
    strategy : str
        One of `steelyard.strategies.names()`.
    decision : {"default", "tuned"}
        The strategy's own decision, or a rule tuned on 3 inner folds.
    metric : str, optional
        What a tuned rule maximises, if it depends on a decision; else that is balanced accuracy.
    positive : label, optional
        The positive class of two; default the rarer one.
    target_prior : mapping of label to share, optional
        Class shares of the rows to predict, where they are not those of training; see `with_prior`.
    random_state : int
    model_options, strategy_parameters : mapping, optional
        What is not the default.
    costs : array-like of shape (C, C), mapping, `Costs` or path, optional
        What mistakes cost, for a rule that is tuned for expected_cost. Cells that are texts name columns of the table:
        a tuned rule then takes each row's own costs, and `predict` needs these columns too.
    cost_features : bool
        Whether such columns are features too. Default False.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, of the type that they had in training.
    feature_names_in_ : ndarray of str
        Columns of the training table.
    n_features_in_ : int
    counts_ : ClassCounts
        Of the rows that it was trained on.
    loss_ : steelyard.losses.Loss
        What it was trained on; ``loss_.to_dict()`` is JSON data.
    rule_ : dict
        How labels come from scores.
    trouble_ : str or None
        Why the fit should be read with care.
    version_ : str
        The version of Steelyard that trained it.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> y = np.where(rng.random(300) < 0.1, "ill", "well")
    >>> X = {"dose": rng.normal(size=300) + 2.0 * (y == "ill"), "sex": rng.choice(["f", "m"], 300)}
    >>> model = Classifier(strategy="balanced").fit(X, y)
    >>> model.predict({"sex": ["m", "unknown"], "dose": [3.0, -1.0]})
    array(['ill', 'well'], dtype='<U4')
    >>> model.predict_proba({"sex": ["m"], "dose": [3.0]}).round(2)
    array([[0.89, 0.11]])
    """

    def __init__(
        self,
        model: Any = "linear",
        strategy: str = "none",
        decision: str = "default",
        metric: str | None = None,
        positive: Any = None,
        target_prior: Mapping[Any, float] | None = None,
        random_state: int = 0,
        model_options: Mapping[str, Any] | None = None,
        strategy_parameters: Mapping[str, float] | None = None,
        costs: Any = None,
        cost_features: bool = False,
    ) -> None:
        self.model = model
        self.strategy = strategy
        self.decision = decision
        self.metric = metric
        self.positive = positive
        self.target_prior = target_prior
        self.random_state = random_state
        self.model_options = model_options
        self.strategy_parameters = strategy_parameters
        self.costs = costs
        self.cost_features = cost_features

    def fit(self, X: Any, y: Any) -> Classifier:
        """Train on all rows.

        Parameters
        ----------
        X : pandas, polars or Arrow table, mapping of columns, or array-like of shape (n, d)
        y : list, ndarray, pandas, polars or Arrow column of n labels

        Returns
        -------
        Classifier
            Itself.

        Raises
        ------
        InputError
            If the table, the labels or a parameter cannot be used.
        """
        one_of("decision", self.decision, ("default", "tuned"))
        dataset = from_memory(X, y, self.positive, self.costs, self.cost_features)
        asked = settings(
            dataset.target,
            [strategies.get(self.strategy, **(self.strategy_parameters or {}))],
            self._kind(),
            self.metric,
            cv=2,
            random_state=self.random_state,
            costs=dataset.costs,
        )
        return self._take(fit_final(dataset, asked, asked.models[0].name, self.strategy, self.decision))

    def _kind(self) -> training.Model:
        options = self.model_options or {}
        if isinstance(self.model, training.Model):  # of the user's own, from a comparison
            return training.named(self.model.source, self.model.name, options) if self.model.source else self.model
        return training.read((self.model, options) if options else [self.model])[0]

    def _take(self, final: Final, version: str | None = None) -> Classifier:
        self.final_ = final
        self.classes_ = _labels(final)
        self.feature_names_in_ = np.array(final.columns.given, dtype=object)
        self.n_features_in_ = len(final.columns.given)
        self.counts_ = final.counts
        self.loss_ = final.point.last_loss
        self.rule_ = _rule(final)
        self.trouble_ = final.trouble
        self.version_ = version or steelyard.__version__
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Return probabilities, corrected for what the strategy did in training.

        Parameters
        ----------
        X : table or mapping with the training columns, or array-like of shape (n, d)

        Returns
        -------
        float64 ndarray of shape (n, C)
            In the order of `classes_`.

        Raises
        ------
        InputError
            If a column is missing, or a value is not of its column's kind.
        """
        columns = self._final.columns
        return self._final.probabilities(columns.transform(selected(X, columns)), self._priors())

    def predict(self, X: Any) -> Any:
        """Return labels.

        Parameters
        ----------
        X : table or mapping with the training columns, or array-like of shape (n, d)

        Returns
        -------
        ndarray of shape (n,)
            Of the type that the labels had in training.

        Raises
        ------
        InputError
            If a column is missing, or a value is not of its column's kind.
        """
        return self.labels_and_proba(X)[0]

    def labels_and_proba(self, X: Any) -> tuple[Any, Floats]:
        """Return what `predict` and `predict_proba` give, for the price of one."""
        final = self._final
        table = selected(X, final.columns, final.cost_columns)
        costs = RowCosts.of(final.costs, table) if final.cost_columns and final.costs is not None else None
        labels, proba = final.predictions(final.columns.transform(table), self._priors(), costs)
        return self.classes_[labels], proba

    def column_types(self) -> dict[str, Any]:
        """Return the columns that a file of new rows needs, with the Arrow type that its fields are read as."""
        import pyarrow as pa

        return dict.fromkeys(self._final.cost_columns, pa.float64()) | self._final.columns.types()

    def with_prior(self, target_prior: Mapping[Any, float] | ArrayLike) -> Classifier:
        """Return the same classifier for rows with other class shares than those of training.

        Probabilities are moved by π′ / π (`sy.decisions.prior_shift`), and decided on as before: a tuned threshold,
        class weights and offsets stay what they are, as costs would; what divides by the prior (prior_threshold,
        post_hoc_logit_adjustment, the plug-in rule of more than two classes) divides by the new one.

        Parameters
        ----------
        target_prior : mapping of label, or its text, to share; or array-like of shape (C,)
            All positive, with a sum of 1. A mapping may leave out one class, which has the rest.

        Returns
        -------
        Classifier

        Raises
        ------
        InputError
            For an unknown label, or numbers that are no shares.

        Examples
        --------
        >>> import numpy as np
        >>> X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), [0, 0, 1, 1]
        >>> model = Classifier().fit(X, y)
        >>> rare = model.with_prior({1: 0.1})
        >>> model.predict_proba([[1.5]]).round(2), rare.predict_proba([[1.5]]).round(2)
        (array([[0.5, 0.5]]), array([[0.9, 0.1]]))
        """
        shares = _shares(target_prior, self._final)
        changed = copy.copy(self)
        changed.target_prior = dict(zip(self.counts_.classes, shares.tolist(), strict=True))
        return changed

    @property
    def _final(self) -> Final:
        check_is_fitted(self, "final_")
        final: Final = self.final_
        return final

    def _priors(self) -> Floats | None:
        return None if self.target_prior is None else _shares(self.target_prior, self._final)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = tags.input_tags.string = tags.input_tags.categorical = True
        return tags


def trained(
    final: Final,
    decision: str,
    metric: str,
    random_state: int,
    target_prior: Mapping[Any, float] | None = None,
    version: str | None = None,
) -> Classifier:
    """Return the classifier of what was trained elsewhere."""
    classifier = Classifier(
        model=final.kind.name if final.kind.source is None else final.kind,
        strategy=final.point.strategy,
        decision=decision,
        metric=metric,
        positive=None if final.positive is None else final.counts.classes[final.positive],
        target_prior=target_prior,
        random_state=random_state,
        model_options=dict(final.kind.options) or None,
        strategy_parameters=dict(final.parameters) or None,
        costs=final.costs,
        cost_features=final.costs is not None and bool(set(final.costs.columns) & set(final.columns.needed)),
    )
    return classifier._take(final, version)


def _labels(final: Final) -> NDArray[Any]:
    """Return the labels as an array of their own type, or of objects where there is no such type."""
    classes = [float(c) if final.floats else c for c in final.counts.classes]
    if len({type(c) for c in classes}) == 1 and isinstance(classes[0], bool | int | float | str):
        array = np.array(classes)
        if array.dtype.kind in "bifU" and array.tolist() == classes:
            return array
    out = np.empty(len(classes), object)
    out[:] = classes
    return out


def _rule(final: Final) -> dict[str, Any]:
    if final.rule is not None:
        content: dict[str, Any] = final.rule.to_dict()
        return content
    own: dict[str, Any] = {"rule": final.point.decision}
    return own | {"tau": final.point.tau} if final.point.decision == "post_hoc_logit_adjustment" else own


def _shares(given: Any, final: Final) -> Floats:
    """Return class shares in the order of the classes."""
    classes = final.counts.classes
    if isinstance(given, Mapping):
        texts = {str(label): k for k, label in enumerate(_labels(final).tolist())}
        texts |= {str(label): k for k, label in enumerate(classes)}
        at: dict[Any, int] = {label: k for k, label in enumerate(classes)}
        shares = np.full(len(classes), np.nan)
        for label, share in given.items():
            k = at.get(label, texts.get(str(label)))
            if k is None:
                listed = ", ".join(map(str, classes[:12]))
                raise InputError(
                    f"classes in `target_prior`, of {listed}", repr(label), did_you_mean(str(label), texts)
                )
            shares[k] = share
        absent = np.flatnonzero(np.isnan(shares))
        if len(absent) == 1:
            shares[absent] = 1.0 - np.nansum(shares)
        elif len(absent):
            listed = ", ".join(str(classes[k]) for k in absent[:12])
            raise InputError("a share of every class, or all but one, in `target_prior`", f"none of {listed}")
    else:
        shares = np.asarray(given, np.float64)
    if shares.shape != (len(classes),) or not (shares > 0).all() or abs(shares.sum() - 1.0) > 1e-3:
        raise InputError(
            f"`target_prior` as {len(classes)} positive shares with a sum of 1",
            np.array2string(shares, separator=", "),
            "a class that cannot occur gets a tiny share.",
        )
    return np.asarray(shares / shares.sum(), np.float64)
