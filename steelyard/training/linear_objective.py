"""The penalised mean loss of a linear model, its gradient and its second derivative, in chunks of rows.

A chunk is turned to float64, used and forgotten: the features may be of any type, are never copied as a whole, and
what is worked on stays in the cache. Chunks depend on shapes alone: the same fit twice adds up in the same order.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steelyard.errors import InputError

__all__ = ["Objective"]

Floats = NDArray[np.float64]

_CELLS = 1 << 18  # of features in a chunk of a pass: 2 MB
_PRODUCTS = 1 << 19  # of weighted features in a chunk of a Hessian: 4 MB
_MOST_ROWS = 8192  # of a chunk


class Objective:
    r"""The objective as a function of θ, (d + 1, K), the last row being the bias.

    .. math:: F(\theta) = \sum_i s_i\, \omega_i \ell_i(z_i) + \frac{\lambda}{2} \|U\|^2,
              \qquad z_i = (x_i^T U + b) Q^T, \quad \theta = (U; b)

    The losses do not see a constant that is added to all adjusted logits Δ z + ι: along v = 1/Δ they are flat, and the
    penalty keeps W orthogonal to v. Q, (C, C − 1), is an orthonormal basis of what is orthogonal to v: K = C − 1
    columns say all there is to say, and leave a second derivative that is not singular. Where some Δ is 0, Q is the
    identity.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Any real type.
    y : int ndarray of shape (n,)
    loss : steelyard.losses.SoftmaxCrossEntropy
    n_classes : int
        C.
    weight : float64 ndarray of shape (n,)
        Rows of weight 0 are left out.
    penalty : float
        c of λ = c / m · (2 if C = 2), m being the number of rows that are not left out.

    Raises
    ------
    InputError
        For NaN or infinities in X.
    """

    def __init__(
        self, X: NDArray[Any], y: NDArray[Any], loss: Any, n_classes: int, weight: Floats, penalty: float
    ) -> None:
        kept = weight > 0
        self._rows = None if kept.all() else np.flatnonzero(kept)
        self._X = X
        self.y, weight = (y, weight) if self._rows is None else (y[self._rows], weight[self._rows])
        self.loss, self.n, self.d = loss, len(self.y), X.shape[1]
        self.strength = penalty / self.n * (2.0 if n_classes == 2 else 1.0)
        self.contrasts = _contrasts(loss, n_classes)
        self._check()
        # ω depends on the true class alone, so the denominator is the same at every step
        total = sum(
            float(loss.numerator_and_denominator(np.zeros((at.stop - at.start, n_classes)), self.y[at], weight[at])[1])
            for at in self._slices(n_classes)
        )
        self.share = weight / total

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of θ, (d + 1, K)."""
        return self.d + 1, self.contrasts.shape[1]

    def constant(self) -> Objective:
        """Return the objective of the bias alone: a row per class, without features."""
        present = np.unique(self.y)
        mass = np.bincount(self.y, weights=self.share)[present]
        return self._on(np.zeros((len(present), 0)), None, present, mass)

    def thinned(self, step: int) -> Objective:
        """Return the objective on every `step`-th row of each class, with the mass and the penalty of all rows."""
        order = np.argsort(self.y, kind="stable")
        first = np.searchsorted(self.y[order], np.arange(self.y.max() + 1))
        chosen = np.sort(order[(np.arange(self.n) - first[self.y[order]]) % step == 0])
        y, share = self.y[chosen], self.share[chosen]
        masses = np.bincount(self.y, weights=self.share)
        share = share * (masses / np.maximum(np.bincount(y, weights=share), np.finfo(float).tiny))[y]
        return self._on(self._X, chosen if self._rows is None else self._rows[chosen], y, share)

    def _on(self, X: NDArray[Any], rows: NDArray[np.intp] | None, y: NDArray[Any], share: Floats) -> Objective:
        other = copy.copy(self)
        other._X, other._rows, other.y, other.share = X, rows, y, share
        other.n, other.d = len(y), X.shape[1]
        return other

    def begin(self, theta: Floats) -> tuple[float, Floats]:
        """Return F and its gradient where training starts.

        Raises
        ------
        InputError
            If F is not finite there.
        """
        value, gradient = self.evaluate(theta)
        if not np.isfinite(value):
            raise InputError("a loss that is finite where training starts", str(value))
        return value, gradient

    def evaluate(self, theta: Floats) -> tuple[float, Floats]:
        """Return F and its gradient, (d + 1, K)."""
        U, b = theta[:-1] @ self.contrasts.T, theta[-1] @ self.contrasts.T
        value, gradient = 0.0, np.zeros((self.d + 1, len(self.contrasts)))
        for at in self._slices(self.d + 1):
            X, y, share = self._chunk(at), self.y[at], self.share[at]
            z = X @ U
            z += b
            g = np.asarray(self.loss.gradient(z, y)) * share[:, None]
            gradient[:-1] += X.T @ g
            gradient[-1] += g.sum(0)
            value += float(share @ np.asarray(self.loss.value(z, y)))
        reduced = gradient @ self.contrasts
        reduced[:-1] += self.strength * theta[:-1]
        return value + 0.5 * self.strength * float((theta[:-1] ** 2).sum()), reduced

    def hessian(self, theta: Floats, positive: bool) -> Floats:
        """Return the second derivative, (K (d + 1), K (d + 1)), the entries of θ in the order of θ.T.ravel().

        With `positive`, from the positive semidefinite bounds of the loss's.
        """
        D, K = self.shape
        Q = self.contrasts
        U, b = theta[:-1] @ Q.T, theta[-1] @ Q.T
        k, m = np.triu_indices(K)
        total = np.zeros((len(k) * D, D))
        for at in self._slices(len(k) * D, _PRODUCTS):
            rows = np.ones((at.stop - at.start, D))
            rows[:, :-1] = X = self._chunk(at)
            h, u, v = self.loss.hessian(X @ U + b, self.y[at], positive)
            h, u, v = (np.asarray(part).T for part in (h * self.share[at, None], u * self.share[at, None], v))
            u, v = Q.T @ u, Q.T @ v
            pairs = (Q[:, k] * Q[:, m]).T @ h + u[k] * v[m] + v[k] * u[m]
            # one product for all pairs of columns of θ; rows last, where they lie side by side
            wide = pairs[:, None, :] * np.ascontiguousarray(rows.T)
            total += wide.reshape(-1, len(rows)) @ rows
        blocks = total.reshape(-1, D, D)
        out = np.empty((K, D, K, D))
        for pair, block in enumerate(blocks):
            out[k[pair], :, m[pair]], out[m[pair], :, k[pair]] = block, block.T
        for i in range(K):
            out[i, range(D - 1), i, range(D - 1)] += self.strength
        return out.reshape(K * D, K * D)

    def moments(self, theta: Floats) -> tuple[float, Floats]:
        """Return the mean curvature of the loss over classes, and second moments of the features under it, (d, d)."""
        U, b = theta[:-1] @ self.contrasts.T, theta[-1] @ self.contrasts.T
        mass, moments = 0.0, np.zeros((self.d, self.d))
        for at in self._slices(self.d + 1):
            X = self._chunk(at)
            rows = (np.asarray(self.loss.curvature(X @ U + b, self.y[at])) * self.share[at, None]).sum(1)
            mass += float(rows.sum())
            moments += X.T @ (X * rows[:, None])
        return mass / len(self.contrasts), moments / mass if mass > 0.0 else moments

    def _slices(self, width: int, cells: int = _CELLS) -> Iterator[slice]:
        size = int(np.clip(cells // width, 64, _MOST_ROWS))
        for start in range(0, self.n, size):
            yield slice(start, min(start + size, self.n))

    def _chunk(self, at: slice) -> Floats:
        return np.ascontiguousarray(self._X[at if self._rows is None else self._rows[at]], np.float64)

    def _check(self) -> None:
        for at in self._slices(self.d + 1):
            bad = np.argwhere(~np.isfinite(self._chunk(at)))
            if len(bad):
                row, column = at.start + int(bad[0, 0]), int(bad[0, 1])
                row = row if self._rows is None else int(self._rows[row])
                raise InputError("finite features", f"{self._X[row, column]} in row {row}, column {column}")


def _contrasts(loss: Any, n_classes: int) -> Floats:
    """Return an orthonormal basis, (C, C − 1), of what is orthogonal to the direction in which the loss is flat."""
    scale = np.broadcast_to(1.0 if loss.logit_scale is None else np.asarray(loss.logit_scale, np.float64), n_classes)
    if (scale <= 0.0).any():
        return np.eye(n_classes)
    flat = 1.0 / scale
    # Householder: a reflection that takes the first axis to ±v; the images of the others are orthogonal to v
    v = flat / np.linalg.norm(flat)
    v[0] += 1.0
    return np.asarray((np.eye(n_classes) - np.outer(v, v) / v[0])[:, 1:])
