"""`SoftmaxCrossEntropy`: every weighted, long-tail and cost-sensitive softmax loss is one of its points."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar, Self

import numpy as np

from steelyard.errors import InputError, one_of
from steelyard.losses import _softmax
from steelyard.losses.base import Loss, unconverted
from steelyard.losses.layout import Layout, arrange
from steelyard.losses.parameters import Parameter, filled, is_array_of_ours

__all__ = ["SoftmaxCrossEntropy"]

Tensor = Any


class SoftmaxCrossEntropy(Loss):
    """Generalised softmax cross-entropy.

        a_c = Δ_c z_c + ι_c − m_y [c = y] + Λ[y, c] + κ max(0, sg(z_c − z_y)),        q = softmax(a)
        ℓ   = ω · (1 − q_y)^γ · (−log q_y + ε₁ (1 − q_y))  +  λ Σ_j M[y, j] q_j
        mean = Σ s·ω·ℓ / Σ s·ω

    The focusing factor uses the adjusted q. Dense targets t take Σ_c t_c ω_c (1 − q_c)^γ (−log q_c), with m and Λ
    averaged over t. The cost term is multiplied by the sample weight s alone.

    Parameters
    ----------
    class_weight : (n_classes,), or (n_classes, n_classes) with ``weight_by="pair"``; array, dict or tensor, optional
        w ≥ 0 or W[truth, prediction] ≥ 0. `steelyard.class_weight` makes them from counts.
    logit_scale : number or (n_classes,), optional
        Δ, default 1.
    logit_offset : number or (n_classes,), optional
        ι, default 0.
    margin : number or (n_classes,), optional
        m, subtracted from the logit of the true class; default 0.
    pairwise_offset : (n_classes, n_classes), optional
        Λ[truth, class], default 0.
    gamma : float in [0, ∞), default 0
        Focusing exponent γ.
    label_smoothing : number or (n_classes,), in [0, 1), default 0
        ε: targets become (1 − ε)·t + ε/C, with one ε for all or one for each true class. The smoothed mass carries the
        weight of the true class, so smoothing does not shift classes (torch weights it by its own class, which does).
    cost_matrix : (n_classes, n_classes), optional
        M[truth, decision] ≥ 0, used with `cost_coefficient`.
    cost_coefficient : float in [0, ∞), default 0
        λ.
    poly_coefficient : float in (−1, ∞), default 0
        ε₁, of the first polynomial term.
    compensation : float in [0, ∞), default 0
        κ: raises classes that are ahead of the true one; no gradient flows through what it is raised by.
    weight_by : {"target", "prediction", "pair", "prediction_hard", "pair_hard"}, default "target"
        ω = w_y; Σ_c w_c sg(p_c); Σ_c W[y, c] sg(p_c); or the last two at the arg max. p = softmax(z) is raw and
        no gradient flows through it.
    ignore_index : int, optional
        Integer target of rows that do not count; they may hold NaN.
    reduction : {"mean", "sum", "none"}, default "mean"
        "none" returns s·ω·ℓ per example.

    Raises
    ------
    InputError
        A parameter of the wrong shape or out of range.

    Notes
    -----
    Accumulation: float32 arithmetic for 16-bit and 32-bit logits, float64 for float64; totals over examples in
    float64 (JAX: float64 where jax_enable_x64 is on). Sources: see `steelyard.losses.names` for the special
    cases, each with its own.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.SoftmaxCrossEntropy(class_weight=[1.0, 9.0])
    >>> logits = np.array([[2.0, 0.0], [0.5, 0.0]])
    >>> round(float(loss(logits, np.array([0, 1]))), 6)
    0.889362
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("class_weight", "classes", 1.0, minimum=0.0),
        Parameter("logit_scale", "class", 1.0, minimum=0.0),
        Parameter("logit_offset", "class", 0.0),
        Parameter("margin", "class", 0.0),
        Parameter("pairwise_offset", "matrix", 0.0),
        Parameter("gamma", "scalar", 0.0, minimum=0.0),
        Parameter("label_smoothing", "rate", 0.0, minimum=0.0, maximum=1.0, open_maximum=True),
        Parameter("cost_matrix", "matrix", 0.0, minimum=0.0),
        Parameter("cost_coefficient", "scalar", 0.0, minimum=0.0),
        Parameter("poly_coefficient", "scalar", 0.0, minimum=-1.0, open_minimum=True),
        Parameter("compensation", "scalar", 0.0, minimum=0.0),
    )
    STATIC: ClassVar[tuple[str, ...]] = ("weight_by", "ignore_index", "reduction")

    weight_by: str

    def __init__(
        self,
        class_weight: Any = None,
        logit_scale: Any = None,
        logit_offset: Any = None,
        margin: Any = None,
        pairwise_offset: Any = None,
        gamma: Any = 0.0,
        label_smoothing: Any = 0.0,
        cost_matrix: Any = None,
        cost_coefficient: Any = 0.0,
        weight_by: str = "target",
        ignore_index: int | None = None,
        reduction: str = "mean",
        poly_coefficient: Any = 0.0,
        compensation: Any = 0.0,
    ) -> None:
        one_of("weight_by", weight_by, _softmax.WEIGHT_BY)
        self.__dict__["weight_by"] = weight_by  # the shape of class_weight depends on it
        values = _softmax.Parameters(
            class_weight,
            logit_scale,
            logit_offset,
            margin,
            pairwise_offset,
            gamma,
            label_smoothing,
            cost_matrix,
            cost_coefficient,
            poly_coefficient,
            compensation,
        )
        self._set(values._asdict(), weight_by=weight_by, ignore_index=ignore_index, reduction=reduction)

    def _specification(self) -> tuple[Parameter, ...]:
        if not self.weight_by.startswith("pair"):
            return self.PARAMETERS
        return (Parameter("class_weight", "matrix", 1.0, minimum=0.0), *self.PARAMETERS[1:])

    def _check_consistency(self) -> None:
        super()._check_consistency()
        if self.weight_by != "target" and self.parameters["class_weight"] is None:
            form = "(n_classes, n_classes)" if self.weight_by.startswith("pair") else "(n_classes,)"
            raise InputError(f"`class_weight` {form} with weight_by={self.weight_by!r}", "None")
        if self.parameters["cost_matrix"] is None and self.parameters["cost_coefficient"] is not None:
            raise InputError("`cost_matrix` with a `cost_coefficient`", "None")
        if self.parameters["cost_coefficient"] is None and is_array_of_ours(self.parameters["cost_matrix"]):
            self.parameters["cost_matrix"] = None

    def expand(self, n_classes: int, pairs: bool = False) -> Self:
        """Return the same loss with every parameter present at full shape; see `Loss.expand`.

        Parameters
        ----------
        n_classes : int
            Number of classes.
        pairs : bool, default False
            Hold the (n_classes, n_classes) parameters too, and class weights as pair weights: weights by target
            are equal along rows of W, weights by prediction along columns. Costs O(n_classes²) memory.

        Examples
        --------
        >>> import steelyard as sy
        >>> sy.losses.weighted_cross_entropy([1.0, 3.0]).expand(2, pairs=True).class_weight
        array([[1., 1.],
               [3., 3.]])
        """
        wide = super().expand(n_classes)
        if not pairs:
            return wide
        if self.weight_by.endswith("hard"):
            raise InputError(
                "weight_by in {'target', 'prediction', 'pair'} with pairs=True",
                repr(self.weight_by),
                "weights at the arg max are no special case of expected ones.",
            )
        full = {p.name: filled(p, wide.parameters[p.name], n_classes) for p in self._specification()}
        if self.weight_by != "pair":
            w = full["class_weight"]
            by_truth = w[:, None] if self.weight_by == "target" else w[None, :]
            full["class_weight"] = by_truth * np.ones((n_classes, n_classes))
        paired = self._with_parameters(full)
        object.__setattr__(paired, "weight_by", "pair")
        return paired

    def _pack(self, values: Mapping[str, Any]) -> _softmax.Parameters:
        return _softmax.Parameters(**values)

    def _value(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor | None]:
        return _softmax.value(xp, at, values, self.weight_by)

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _softmax.gradient(xp, at, values, self.weight_by)

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _softmax.curvature(xp, at, values, self.weight_by)

    def _gradient_and_curvature(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor]:
        return _softmax.gradient_and_curvature(xp, at, values, self.weight_by)

    @unconverted
    def hessian(self, logits: Tensor, targets: Tensor, positive: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Return the second derivative of each example in logits (batch, n_classes), as h, u and v.

            ∂²(ω·ℓ)/∂z² = diag h + u vᵀ + v uᵀ

        Three vectors are all of it: what a Newton step needs without a matrix per example.

        Parameters
        ----------
        logits : tensor (batch, n_classes)
        targets : tensor (batch,) or (batch, n_classes)
        positive : bool, default False
            Return a bound that is positive semidefinite instead. The two are equal without focusing and costs.

        Returns
        -------
        tuple of three tensors (batch, n_classes)

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> h, u, v = sy.losses.cross_entropy().hessian(np.zeros((1, 2)), np.array([0]))
        >>> np.diag(h[0]) + np.outer(u[0], v[0]) + np.outer(v[0], u[0])
        array([[ 0.25, -0.25],
               [-0.25,  0.25]])
        """
        xp = self._namespace(logits, targets, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        at = arrange(xp, z, targets, 1, self.ignore_index, self.dense_targets)
        if len(at.logits.shape) != 2:
            raise InputError("logits of shape (batch, n_classes)", f"{len(z.shape)} axes")
        parts = _softmax.hessian(xp, at, self._constants(xp, z), self.weight_by, positive)
        if at.keep is None:
            return parts
        h, u, v = (xp.where(xp.expand_dims(at.keep, 1), part, 0) for part in parts)
        return h, u, v

    @unconverted
    def posterior(self, logits: Tensor, class_axis: int = 1) -> Tensor:
        """Return class probabilities, corrected for what the loss did to the logits.

        The η, Σ η = 1, for which the logits are a stationary point of the loss: weights are divided out, offsets
        and margins taken back, focusing inverted. With no parameter set it is the softmax.

            η_c ∝ h_γ(q_c) / w_c,    h_γ(v) = v / [(1 − v)^γ − γ (1 − v)^(γ−1) v log v]

        Parameters
        ----------
        logits : tensor (batch, n_classes, ...)
            What the trained model gives.
        class_axis : int, default 1
            Axis of the classes.

        Returns
        -------
        tensor, shaped like the logits
            Probabilities, in the dtype of the arithmetic.

        Raises
        ------
        InputError
            With a cost term, whose minimiser is no probability; or with a class weight of 0.

        Notes
        -----
        Exact at the population optimum; a finite or regularised model is only near it, so check calibration.
        With smoothing a solution outside the simplex (possible where q < ε/C) is clipped to it. Source:
        w = 1, Charoenphakdee et al., CVPR 2021 (arXiv:2011.09172), for focal; the rest is the first-order
        condition Σ_y η_y ∇ℓ(z, y) = 0.

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> balanced = sy.losses.SoftmaxCrossEntropy(class_weight=[1.0, 9.0])
        >>> balanced.posterior(np.array([[0.0, 0.0]])).round(3)
        array([[0.9, 0.1]])
        """
        if self.parameters["cost_matrix"] is not None:
            raise InputError(
                "a loss without a cost term, to recover probabilities",
                f"cost_coefficient={self.cost_coefficient}",
                "train without it and decide with sy.decisions.min_cost.",
            )
        xp = self._namespace(logits, None, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        values = self._constants(xp, z)
        w = self.parameters["class_weight"]
        if w is not None and is_array_of_ours(w) and not self.weight_by.startswith("prediction") and (w == 0).any():
            raise InputError(
                "class weights above 0, to recover probabilities",
                "a weight of 0",
                "that class was never learnt.",
            )
        ndim = len(z.shape)
        z = xp.cast(z, xp.compute_dtype(z))
        if ndim == 1:
            return xp.reshape(_softmax.posterior(xp, xp.expand_dims(z, 0), values, self.weight_by), xp.shape(z))
        last = xp.moveaxis(z, class_axis, -1) if ndim > 2 else z
        shape = xp.shape(last)
        eta = _softmax.posterior(xp, xp.reshape(last, (-1, shape[-1])), values, self.weight_by)
        eta = xp.reshape(eta, shape)
        return xp.moveaxis(eta, -1, class_axis) if ndim > 2 else eta
