"""`SigmoidCrossEntropy`: binary and multi-label losses, one logit per label."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from steelyard.errors import InputError
from steelyard.losses import _sigmoid
from steelyard.losses.base import Loss, unconverted
from steelyard.losses.layout import Layout, arrange
from steelyard.losses.parameters import Parameter, is_array_of_ours

__all__ = ["SigmoidCrossEntropy"]

Tensor = Any


class SigmoidCrossEntropy(Loss):
    """Generalised sigmoid cross-entropy.

        a₊ = z + ι,    a₋ = λ (z + ι),    p = σ(a₊),    u = max(σ(a₋) − m, 0)
        ℓ = t ω₁ (1 − p)^γ₊ (−log p) + (1 − t) ω₀ u^γ₋ (−log(1 − u)) / λ
        ω₁ = w v r (σ(z) O[1, 1] + σ(−z) O[1, 0]),    ω₀ = w r (σ(z) O[0, 1] + σ(−z) O[0, 0])
        r = α + σ(β (ρ_c / Σ_j t_j ρ_j − μ))
        mean = Σ s·ω·ℓ / Σ s·ω,    ω = t ω₁ + (1 − t) ω₀

    What is not given does nothing: ι = m = 0, λ = r = 1.

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
    probability_shift : float in [0, 1), default 0
        m: where the label is not there and σ(a₋) ≤ m, the loss and its gradient are exactly 0.
    logit_offset : number or (n_labels,), optional
        ι, in training only.
    neg_scale : float in (0, ∞), default 1
        λ > 1 flattens the loss of what is not there sooner: its gradient falls like e^(λz).
    label_rarity : (n_labels,), optional
        ρ > 0, such as 1/n_c: what re-balancing compares.
    rebalance_slope, rebalance_center, rebalance_floor : float, default 0, 0 and 0.5
        β ≥ 0, μ and α ≥ 0 of the re-balancing weights. A row without labels has r = α + 1.

    Raises
    ------
    InputError
        A parameter of the wrong shape or out of range.

    Notes
    -----
    With a shift the gradient of a wrong negative vanishes like e^(−a₋)/m: it is finite everywhere, and 0 in every
    dtype at a logit of 1e4. All other gradients are alive there.

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
        Parameter("probability_shift", "scalar", 0.0, minimum=0.0, maximum=1.0, open_maximum=True),
        Parameter("logit_offset", "class", 0.0),
        Parameter("neg_scale", "scalar", 1.0, minimum=0.0, open_minimum=True),
        Parameter("label_rarity", "classes", 1.0, minimum=0.0, open_minimum=True),
        Parameter("rebalance_slope", "scalar", 0.0, minimum=0.0),
        Parameter("rebalance_center", "scalar", 0.0),
        Parameter("rebalance_floor", "scalar", 0.5, minimum=0.0),
    )
    STATIC: ClassVar[tuple[str, ...]] = ("ignore_index", "reduction")
    dense_targets: ClassVar[bool] = True
    entrywise: ClassVar[bool] = True

    def __init__(
        self,
        pos_weight: Any = None,
        outcome_weight: Any = None,
        gamma_pos: Any = 0.0,
        gamma_neg: Any = 0.0,
        class_weight: Any = None,
        ignore_index: int | None = None,
        reduction: str = "mean",
        probability_shift: Any = 0.0,
        logit_offset: Any = None,
        neg_scale: Any = 1.0,
        label_rarity: Any = None,
        rebalance_slope: Any = 0.0,
        rebalance_center: Any = 0.0,
        rebalance_floor: Any = 0.5,
    ) -> None:
        values = _sigmoid.Parameters(
            class_weight,
            pos_weight,
            outcome_weight,
            gamma_pos,
            gamma_neg,
            probability_shift,
            logit_offset,
            neg_scale,
            label_rarity,
            rebalance_slope,
            rebalance_center,
            rebalance_floor,
        )
        self._set(values._asdict(), ignore_index=ignore_index, reduction=reduction)

    def _pack(self, values: Mapping[str, Any]) -> _sigmoid.Parameters:
        return _sigmoid.Parameters(**values)

    def _value(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor | None]:
        return _sigmoid.value(xp, at, values)

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _sigmoid.gradient(xp, at, values)

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        return _sigmoid.curvature(xp, at, values)

    @property
    def has_posterior(self) -> bool:
        """Whether logits alone tell probabilities: not with re-balancing by the labels of a row."""
        slope = self.parameters["rebalance_slope"]
        return slope is None or not is_array_of_ours(slope) or bool((slope == 0.0).all())

    @unconverted
    def posterior(self, logits: Tensor, class_axis: int = 1) -> Tensor:
        """Return the probability of each label, corrected for what the loss did to the logits.

            logit η = log(ω₀ ψ₋ u₋') − log(ω₁ ψ₊ σ(−a₊)),    u₋' = σ(a₋) σ(−a₋) / (σ(−a₋) + m)

        which is z + log ω₀ − log ω₁ without focusing, offset, scale and shift. Where σ(a₋) ≤ m it is 0.

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

        Raises
        ------
        InputError
            Re-balancing weights: they depend on all labels of a row, so that the logits of a row alone do not tell.

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> sy.losses.SigmoidCrossEntropy(pos_weight=9.0).posterior(np.array([0.0])).round(3)
        array([0.1])
        """
        if not self.has_posterior:
            raise InputError(
                "a loss whose weights do not depend on the other labels of a row, for a posterior",
                f"rebalance_slope={float(self.parameters['rebalance_slope']):g}",
                "calibrate each label on held-out rows, or choose thresholds with sy.decisions.",
            )
        xp = self._namespace(logits, None, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        at = arrange(xp, z, xp.cast(z, xp.compute_dtype(z)) * 0, class_axis, None, dense_only=True)
        return xp.reshape(_sigmoid.posterior(xp, at.logits, self._constants(xp, z)), xp.shape(z))
