"""Other priors than those of training: on probabilities and on logits, without training again."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from steelyard.decisions.validation import checked_logits, checked_priors, checked_probabilities
from steelyard.errors import InputError

__all__ = ["post_hoc_logit_adjustment", "prior_shift"]


def prior_shift(proba: ArrayLike, from_priors: ArrayLike, to_priors: ArrayLike) -> NDArray[np.float64]:
    r"""Move probabilities from the class shares they were learned under to those they are used under.

    .. math:: p'_k \propto p_k\, \frac{\pi'_k}{\pi_k}

    Exact when only the class shares change and the rows of a class stay what they are: after random over- or
    undersampling, or for a population with other shares. Not exact after SMOTE, which makes new rows.

    Parameters
    ----------
    proba : array-like of shape (n, C)
        Probabilities under `from_priors`.
    from_priors, to_priors : array-like of shape (C,)
        Class shares, each with a sum of one. A class of share 0 in `from_priors` must have share 0 in
        `to_priors`.

    Returns
    -------
    float64 ndarray of shape (n, C)

    Raises
    ------
    InputError
        For wrong shapes, values that are no probabilities, or a class that appears from nothing.

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a
    priori probabilities", Neural Computation 14, 2002, doi:10.1162/089976602753284446.

    Examples
    --------
    >>> prior_shift([[0.5, 0.5]], from_priors=[0.5, 0.5], to_priors=[0.9, 0.1])
    array([[0.9, 0.1]])
    """
    p = checked_probabilities(proba)
    source = checked_priors(from_priors, p.shape[1], "from_priors")
    target = checked_priors(to_priors, p.shape[1], "to_priors")
    if ((source == 0) & (target > 0)).any():
        k = int(np.flatnonzero((source == 0) & (target > 0))[0])
        raise InputError(
            "`from_priors` > 0 wherever `to_priors` is",
            f"0 for class {k}",
            "a class never seen has no score.",
        )
    ratio = np.divide(target, source, out=np.zeros_like(target), where=source > 0)
    shifted = p * ratio
    total = shifted.sum(1, keepdims=True)
    # a row that was certain of classes which no longer occur: the new shares are all that is known
    return np.where(total > 0, shifted / np.where(total > 0, total, 1.0), target)


def post_hoc_logit_adjustment(logits: ArrayLike, priors: ArrayLike, tau: float = 1.0) -> NDArray[np.float64]:
    r"""Subtract the log priors from the logits of a model trained as usual; the arg max is the decision.

    .. math:: a_k = z_k - \tau \log \pi_k

    At τ = 1 the arg max is that of :math:`p_k / \pi_k`, which is best for balanced accuracy when p is
    right; for two classes it is a threshold at the prior.

    Parameters
    ----------
    logits : array-like of shape (n, C)
    priors : array-like of shape (C,)
        Class shares of the training rows, all positive.
    tau : float
        Strength; 0 changes nothing. Default 1.

    Returns
    -------
    float64 ndarray of shape (n, C)
        Adjusted logits.

    Raises
    ------
    InputError
        For wrong shapes, NaN, a negative `tau`, or a class without training rows.

    References
    ----------
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, arXiv:2007.07314 (its post hoc form).

    Examples
    --------
    >>> post_hoc_logit_adjustment([[2.0, 0.0]], priors=[0.9, 0.1]).argmax(1)
    array([1])
    """
    z = checked_logits(logits)
    shares = checked_priors(priors, z.shape[1], "priors")
    if not (np.isfinite(tau) and tau >= 0):
        raise InputError("`tau` ≥ 0", repr(tau))
    if (shares == 0).any():
        k = int(np.flatnonzero(shares == 0)[0])
        raise InputError("`priors` > 0", f"0 for class {k}", "leave out classes without training rows.")
    return np.asarray(z - tau * np.log(shares))
