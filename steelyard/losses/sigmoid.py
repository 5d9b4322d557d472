"""`SigmoidCrossEntropy`: binary and multi-label losses, one logit per label."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from steelyard.losses import _sigmoid
from steelyard.losses.base import Loss, unconverted
from steelyard.losses.layout import Layout, arrange
from steelyard.losses.parameters import Parameter

__all__ = ["SigmoidCrossEntropy"]

Tensor = Any


class SigmoidCrossEntropy(Loss):
    """Generalised sigmoid cross-entropy.

        p = σ(z)
        ℓ = t ω₁ (1 − p)^γ₊ (−log p) + (1 − t) ω₀ p^γ₋ (−log(1 − p))
        ω₁ = w v (p O[1, 1] + (1 − p) O[1, 0]),    ω₀ = w (p O[0, 1] + (1 − p) O[0, 0])
        mean = Σ s·ω·ℓ / Σ s·ω,    ω = t ω₁ + (1 − t) ω₀

    Targets t ∈ [0, 1] are shaped like the logits: (batch,) for two classes, (batch, n_labels) for several labels.

    Parameters
    ----------
    pos_weight : number or (n_labels,), optional
        v ≥ 0, default 1: weight of a label that is there.
    outcome_weight : (2, 2), optional
        O[truth, decision] ≥ 0: weights of TN, FP, FN and TP, in expectation over the decision (p is not
        differentiated there).
    gamma_pos, gamma_neg : float in [0, ∞), default 0
        Focusing exponents where the label is there and where it is not.
    class_weight : number or (n_labels,), optional
        w ≥ 0, default 1: weight of each label.
    ignore_index : int, optional
        Target of entries that do not count.
    reduction : {"mean", "sum", "none"}, default "mean"
        "none" returns s·ω·ℓ for each entry.

    Raises
    ------
    InputError
        A parameter of the wrong shape or out of range.

    Notes
    -----
    torch's BCEWithLogitsLoss divides by the number of entries, whatever pos_weight says: denominator="rows".
    Numerics: −log p = softplus(−z) and −log(1 − p) = softplus(z); no probability is formed or clipped.

    Examples
    --------
    >>> import numpy as np, steelyard as sy
    >>> loss = sy.losses.SigmoidCrossEntropy(pos_weight=3.0, reduction="none")
    >>> loss(np.array([0.0, 0.0]), np.array([1, 0])).round(4)
    array([2.0794, 0.6931])
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]] = (
        Parameter("class_weight", "class", 1.0, minimum=0.0),
        Parameter("pos_weight", "class", 1.0, minimum=0.0),
        Parameter("outcome_weight", "outcome", 1.0, minimum=0.0),
        Parameter("gamma_pos", "scalar", 0.0, minimum=0.0),
        Parameter("gamma_neg", "scalar", 0.0, minimum=0.0),
    )
    STATIC: ClassVar[tuple[str, ...]] = ("ignore_index", "reduction")
    dense_targets: ClassVar[bool] = True

    def __init__(
        self,
        pos_weight: Any = None,
        outcome_weight: Any = None,
        gamma_pos: Any = 0.0,
        gamma_neg: Any = 0.0,
        class_weight: Any = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        values = _sigmoid.Parameters(class_weight, pos_weight, outcome_weight, gamma_pos, gamma_neg)
        self._set(values._asdict(), ignore_index=ignore_index, reduction=reduction)

    def _pack(self, values: Mapping[str, Any]) -> _sigmoid.Parameters:
        return _sigmoid.Parameters(**values)

    def _value(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor | None]:
        return _sigmoid.value(xp, at, values)

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _sigmoid.gradient(xp, at, values)

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _sigmoid.curvature(xp, at, values)

    def _gradient_and_curvature(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor]:
        return _sigmoid.gradient_and_curvature(xp, at, values)

    @unconverted
    def posterior(self, logits: Tensor, class_axis: int = 1) -> Tensor:
        """Return the probability of each label, corrected for what the loss did to the logits.

            logit η = z + log(ω₀ ψ₋) − log(ω₁ ψ₊)

        Parameters
        ----------
        logits : tensor (batch,) or (batch, n_labels, ...)
            What the trained model gives.
        class_axis : int, default 1
            Axis of the labels.

        Returns
        -------
        tensor, shaped like the logits
            Probabilities, in the dtype of the arithmetic.

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> sy.losses.SigmoidCrossEntropy(pos_weight=9.0).posterior(np.array([0.0])).round(3)
        array([0.1])
        """
        xp = self._namespace(logits, None, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        at = arrange(xp, z, xp.cast(z, xp.compute_dtype(z)) * 0, class_axis, None, dense_only=True)
        return xp.reshape(_sigmoid.posterior(xp, at.logits, self._constants(xp, z)), xp.shape(z))
