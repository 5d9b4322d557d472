"""What every loss does: read its parameters, run its formula, reduce, and go to JSON and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

import numpy as np

from steelyard import _ops
from steelyard.errors import InputError, one_of
from steelyard.losses import checks
from steelyard.losses.layout import Layout, arrange, broadcast_weight, held, per_row, plain_shape
from steelyard.losses.parameters import Parameter, filled, is_array_of_ours, read
from steelyard.losses.reduction import REDUCTIONS, check_denominator, mean

__all__ = ["Loss", "Terms"]

Tensor = Any

_Method = TypeVar("_Method", bound=Callable[..., Any])

_pytrees: set[type] = set()


def unconverted(method: _Method) -> _Method:
    """Mark a method for TensorFlow's AutoGraph, which then runs it as it stands.

    No branch here depends on a value in a graph; rewriting the library takes seconds and garbles error messages.
    """
    method.autograph_info__ = {}  # type: ignore[attr-defined]
    return method


class Terms(NamedTuple):
    """One value per example: s·ω·ℓ, and s·ω or None where it is 1."""

    numerator: Tensor
    denominator: Tensor | None
    keep: Tensor | None
    sample_weight: Tensor | None


class Loss:
    """A point in the parameter space of a family of losses.

    Subclasses name their parameters and their formula; everything else stands here. Losses are immutable and,
    in JAX, pytrees whose leaves are the parameters.
    """

    PARAMETERS: ClassVar[tuple[Parameter, ...]]
    STATIC: ClassVar[tuple[str, ...]]
    dense_targets: ClassVar[bool] = False  # targets are shaped like the logits, whatever their dtype
    entrywise: ClassVar[bool] = False  # one value for each logit, and not for each row of them
    autograph_info__: ClassVar[dict[str, Any]] = {}  # for the call itself, as `unconverted` for methods

    parameters: dict[str, Any]
    reduction: str
    ignore_index: int | None

    improper: ClassVar[str | None] = None  # where the family has no posterior: why, in a sentence, for `explain`

    def _set(self, values: Mapping[str, Any], **static: Any) -> None:
        object.__setattr__(self, "parameters", {p.name: read(p, values[p.name]) for p in self._specification()})
        one_of("reduction", static["reduction"], REDUCTIONS)
        index = static["ignore_index"]
        if index is not None and (isinstance(index, bool) or not isinstance(index, (int, np.integer))):
            raise InputError("`ignore_index` as an integer or None", repr(index))
        for name, value in static.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_cache", {})
        self._check_consistency()
        _ops.prepare()
        register_pytrees()

    def _specification(self) -> tuple[Parameter, ...]:
        """Return the parameters in the form that the settings of this loss give them."""
        return self.PARAMETERS

    def _check_consistency(self) -> None:
        sizes = {n: v.shape[-1] for n, v in self.parameters.items() if v is not None and len(v.shape)}
        sizes.pop("outcome_weight", None)
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{n}: {k}" for n, k in sizes.items())
            raise InputError("parameters for the same number of classes", listed)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(
            f"losses are immutable: use loss.replace({name}=…), or a front's assign(other) while training"
        )

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __getattr__(self, name: str) -> Any:
        # only reached for names that are no attribute: the parameters
        for p in type(self).PARAMETERS:
            if p.name == name:
                value = self.__dict__["parameters"][name]
                return p.neutral if value is None and p.form in ("scalar", "rate") else value
        raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}")

    # --- the formula, supplied by the family ------------------------------------------------------------------

    def _value(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor | None]:
        raise NotImplementedError

    def _gradient(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        raise NotImplementedError

    def _curvature(self, xp: ModuleType, at: Layout, values: Any) -> Tensor:
        raise NotImplementedError

    def _gradient_and_curvature(self, xp: ModuleType, at: Layout, values: Any) -> tuple[Tensor, Tensor]:
        return self._gradient(xp, at, values), self._curvature(xp, at, values)

    def _pack(self, values: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    # --- calling ----------------------------------------------------------------------------------------------

    def __call__(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        denominator: Tensor | float | str | None = None,
        class_axis: int = 1,
        logit_offset: Tensor | None = None,
    ) -> Tensor:
        """Return the loss, reduced as `reduction` says.

        Parameters
        ----------
        logits : tensor (batch, n_classes, ...)
            Unnormalised scores: NumPy, torch, TensorFlow, Keras or JAX; what comes out is of the same framework.
            16-bit logits are computed in float32, give a float32 loss, and get 16-bit gradients.
        targets : tensor
            Integers shaped like the logits without their class axis, or one-hot or soft targets shaped like the
            logits.
        sample_weight : tensor, optional
            Weight of each example, shaped like the examples or like their leading axes; masks are weights of 0
            and 1. Multiplies the class weight.
        class_weight : tensor (n_classes,) or (batch, n_classes), optional
            Class weights of this call, instead of those of the loss.
        denominator : number, tensor, "rows" or "sample_weight", optional
            What a mean is divided by: Σ s·ω when None, the number of rows that count, or Σ s; or the sum over
            all ranks or micro-batches of `numerator_and_denominator`.
        class_axis : int, default 1
            Axis of the classes; -1 for (batch, ..., n_classes).
        logit_offset : tensor (n_classes,) or (batch, n_classes), optional
            Offsets of this call, added to those of the loss: noise that is drawn anew for each batch, such as
            `gcl_offset` and `equalization_offset` give.

        Returns
        -------
        tensor
            In nats: () for "mean" and "sum", one s·ω·ℓ per example for "none". A mean over nothing is 0.

        Raises
        ------
        InputError
            Shapes that do not fit; in eager calls on the CPU also NaN or infinite logits, targets out of range
            and negative weights. Compiled calls and calls on a GPU do not look at values.
        """
        xp = self._namespace(logits, targets, sample_weight)
        values = self._constants(xp, logits)
        return self.evaluate(
            xp, values, logits, targets, sample_weight, class_weight, denominator, class_axis, logit_offset
        )

    @unconverted
    def evaluate(
        self,
        xp: ModuleType,
        values: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        denominator: Tensor | float | str | None = None,
        class_axis: int = 1,
        logit_offset: Tensor | None = None,
    ) -> Tensor:
        """Return the reduced loss at `values`, parameters that a front keeps in its framework's own tensors."""
        check_denominator(denominator)
        terms = self._explained(xp, values, logits, targets, sample_weight, class_weight, class_axis, logit_offset)
        result = terms.numerator
        if self.reduction != "none":
            result = xp.total(terms.numerator)
            if self.reduction == "mean":
                result = mean(xp, result, self._denominator(xp, terms, result, denominator))
            result = xp.cast(result, terms.numerator.dtype)
        if xp.concrete(result):
            checks.after(xp, self, result, logits, targets, sample_weight, class_axis)
        return result

    @unconverted
    def numerator_and_denominator(
        self,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        class_axis: int = 1,
        logit_offset: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return Σ s·ω·ℓ and Σ s·ω.

        Sums over batches, ranks or micro-batches of both, divided once, are the mean over all their rows. An
        empty batch gives (0, 0).

        Returns
        -------
        tuple of two scalar tensors
            The first in nats.

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> loss = sy.losses.SoftmaxCrossEntropy(class_weight=[1.0, 3.0])
        >>> n, d = loss.numerator_and_denominator(np.zeros((2, 2)), np.array([0, 1]))
        >>> round(float(n), 4), float(d)
        (2.7726, 4.0)
        """
        xp = self._namespace(logits, targets, sample_weight)
        values = self._constants(xp, logits)
        return self.sums(xp, values, logits, targets, sample_weight, class_weight, None, class_axis, logit_offset)

    @unconverted
    def sums(
        self,
        xp: ModuleType,
        values: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None = None,
        class_weight: Tensor | None = None,
        denominator: Tensor | float | str | None = None,
        class_axis: int = 1,
        logit_offset: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return both sums at `values`, parameters that a front keeps in its framework's own tensors."""
        check_denominator(denominator)
        terms = self._explained(xp, values, logits, targets, sample_weight, class_weight, class_axis, logit_offset)
        numerator = xp.total(terms.numerator)
        if xp.concrete(numerator):
            checks.after(xp, self, numerator, logits, targets, sample_weight, class_axis)
        by = self._denominator(xp, terms, numerator, denominator)
        dtype = terms.numerator.dtype
        return xp.cast(numerator, dtype), xp.cast(by, dtype)

    @unconverted
    def value(self, logits: Tensor, targets: Tensor, class_axis: int = 1) -> Tensor:
        """Return ω·ℓ in nats, one per example, unreduced, whatever `reduction` says."""
        xp = self._namespace(logits, targets, None)
        terms = self._terms(xp, self._constants(xp, logits), logits, targets, None, None, class_axis)
        return terms.numerator

    @unconverted
    def gradient(self, logits: Tensor, targets: Tensor, class_axis: int = 1) -> Tensor:
        """Return ∂(ω·ℓ)/∂logits of each example, shaped like the logits and of their dtype."""
        return self._derivative(self._gradient, logits, targets, class_axis)

    @unconverted
    def curvature(self, logits: Tensor, targets: Tensor, class_axis: int = 1) -> Tensor:
        """Return a positive bound of ∂²(ω·ℓ)/∂logit², shaped like the logits and of their dtype.

        Exact for cross-entropy in all its weighted and adjusted forms; with focusing or costs an upper bound,
        because the true second derivative can be negative there. At least 1e-16.
        """
        return self._derivative(self._curvature, logits, targets, class_axis)

    @unconverted
    def gradient_and_curvature(self, logits: Tensor, targets: Tensor, class_axis: int = 1) -> tuple[Tensor, Tensor]:
        """Return what `gradient` and `curvature` return, from one pass: what a booster asks for at every tree.

        Examples
        --------
        >>> import numpy as np, steelyard as sy
        >>> g, h = sy.losses.cross_entropy().gradient_and_curvature(np.zeros((1, 2)), np.array([1]))
        >>> g, h
        (array([[ 0.5, -0.5]]), array([[0.25, 0.25]]))
        """
        xp = self._namespace(logits, targets, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        at, values = self._arranged(xp, z, targets, class_axis)
        g, h = self._gradient_and_curvature(xp, at, values)
        return self._like_logits(xp, g, at, z), self._like_logits(xp, h, at, z)

    def posterior(self, logits: Tensor, class_axis: int = 1) -> Tensor:  # noqa: ARG002
        """Return class probabilities, corrected for what the loss did to the logits.

        Raises
        ------
        InputError
            The family has none: its `improper` says why.
        """
        raise InputError(
            "a loss whose logits tell the probability of each label, for a posterior",
            type(self).__name__,
            f"{self.improper} Calibrate its logits on held-out rows, or choose thresholds with sy.decisions.",
        )

    def _derivative(self, formula: Any, logits: Tensor, targets: Tensor, class_axis: int) -> Tensor:
        xp = self._namespace(logits, targets, None)
        z = logits if hasattr(logits, "dtype") else xp.asarray(logits)
        at, values = self._arranged(xp, z, targets, class_axis)
        return self._like_logits(xp, formula(xp, at, values), at, z)

    def _laid_out(self, xp: ModuleType, logits: Tensor, targets: Tensor, class_axis: int) -> Layout:
        return arrange(xp, logits, targets, class_axis, self.ignore_index, self.dense_targets, self.entrywise)

    def _arranged(self, xp: ModuleType, z: Tensor, targets: Tensor, class_axis: int) -> tuple[Layout, Any]:
        at = self._laid_out(xp, z, targets, class_axis)
        if xp.concrete(at.logits):
            checks.target_range(xp, self, at)
            if not checks.all_finite(xp, at.logits):
                checks.before(xp, self, z, targets, None, class_axis)
        return at, self._constants(xp, z)

    def _like_logits(self, xp: ModuleType, out: Tensor, at: Layout, z: Tensor) -> Tensor:
        if at.keep is not None:
            whole_row = len(at.keep.shape) < len(out.shape)
            out = xp.where(xp.expand_dims(at.keep, 1) if whole_row else at.keep, out, 0)
        wide = xp.reshape(out, xp.shape(z))
        return xp.cast(wide, z.dtype) if not xp.is_integer(z) else wide

    def _namespace(self, logits: Tensor, targets: Tensor, sample_weight: Tensor | None) -> ModuleType:
        xp = _ops.namespace(logits, targets, sample_weight)
        if xp.__name__.endswith("numpy"):
            xp = _ops.namespace(*(v for v in self.parameters.values() if v is not None))
        return xp

    def _constants(self, xp: ModuleType, logits: Tensor) -> Any:
        """Return the parameters in the dtype of the arithmetic, kept from call to call where that is safe."""
        like = held(logits if hasattr(logits, "dtype") else xp.asarray(logits))
        dtype = xp.compute_dtype(like)
        if not xp.constants_outlive_call(like):
            return self._converted(xp, like, dtype)
        key = (xp.__name__, dtype, xp.device(like))
        cache: dict[Any, Any] = self.__dict__["_cache"]
        if key not in cache:
            values = self._converted(xp, like, dtype)
            if any(v is not None and not is_array_of_ours(v) for v in self.parameters.values()):
                return values
            cache[key] = values
        return cache[key]

    def _converted(self, xp: ModuleType, like: Tensor, dtype: Any) -> Any:
        return self._pack({n: None if v is None else xp.asarray(v, like, dtype) for n, v in self.parameters.items()})

    def _explained(
        self,
        xp: ModuleType,
        values: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None,
        class_weight: Tensor | None,
        class_axis: int,
        logit_offset: Tensor | None,
    ) -> Terms:
        """Return `_terms`; torch finds an index out of range by itself, at no cost: say it in our words."""
        try:
            return self._terms(xp, values, logits, targets, sample_weight, class_weight, class_axis, logit_offset)
        except (IndexError, RuntimeError):
            checks.explain(xp, self, logits, targets, sample_weight, class_axis)
            raise

    def _terms(
        self,
        xp: ModuleType,
        values: Any,
        logits: Tensor,
        targets: Tensor,
        sample_weight: Tensor | None,
        class_weight: Tensor | None,
        class_axis: int,
        logit_offset: Tensor | None = None,
    ) -> Terms:
        at = self._laid_out(xp, logits, targets, class_axis)
        values = self._at_call(xp, at, values, class_weight, logit_offset)
        dtype = at.logits.dtype
        loss, weight = self._value(xp, at, values)
        if at.keep is not None:
            loss = xp.where(at.keep, loss, 0)
            weight = xp.cast(at.keep, dtype) if weight is None else xp.where(at.keep, weight, 0)
        loss = xp.reshape(loss, at.shape)
        if weight is not None:
            weight = xp.reshape(weight, at.shape)
        s = None
        if sample_weight is not None:
            s = xp.asarray(sample_weight, at.logits, dtype)
            s = broadcast_weight(xp, s, at.shape, plain_shape(loss))
            loss = s * loss
            weight = s * xp.ones_like(loss) if weight is None else s * weight
        keep = None if at.keep is None else xp.reshape(at.keep, at.shape)
        return Terms(loss, weight, keep, s)

    def _at_call(
        self, xp: ModuleType, at: Layout, values: Any, class_weight: Tensor | None, logit_offset: Tensor | None
    ) -> Any:
        """Return the parameters with those that are given at the call, checked."""
        checks.number_of_classes(self, at.n_classes, values)
        if not xp.checks_indices and xp.concrete(at.logits):
            checks.target_range(xp, self, at)
        for name, given in (("class_weight", class_weight), ("logit_offset", logit_offset)):
            if given is not None and name not in values._fields:
                raise InputError(f"a loss that has a `{name}`", type(self).__name__)
        if class_weight is not None:
            w = per_row(xp, xp.asarray(class_weight, at.logits, at.logits.dtype), at)
            checks.call_weight(xp, self, w, plain_shape(at.logits))
            values = values._replace(class_weight=w)
        if logit_offset is not None:
            values = values._replace(logit_offset=self._offset_of_call(xp, values, at, logit_offset))
        return values

    def _offset_of_call(self, xp: ModuleType, values: Any, at: Layout, logit_offset: Tensor) -> Tensor:
        offset = per_row(xp, xp.asarray(logit_offset, at.logits, at.logits.dtype), at)
        sizes = plain_shape(offset)
        if len(sizes) not in (1, 2) or (sizes[-1] is not None and sizes[-1] != at.n_classes and sizes[-1] != 1):
            raise InputError(f"`logit_offset` of shape ({at.n_classes},) or (batch, {at.n_classes})", str(sizes))
        return offset if values.logit_offset is None else values.logit_offset + offset

    def _denominator(self, xp: ModuleType, terms: Terms, numerator: Tensor, asked: Any) -> Tensor:
        if asked is not None and not isinstance(asked, str):
            given = xp.asarray(asked, numerator, numerator.dtype)
            if len(given.shape):
                raise InputError("`denominator` as a number", f"shape {tuple(given.shape)}")
            return given
        if asked is None and terms.denominator is not None:
            return xp.total(terms.denominator)
        weights = xp.ones_like(terms.numerator)
        if asked == "sample_weight" and terms.sample_weight is not None:
            weights = terms.sample_weight * weights
        return xp.total(weights if terms.keep is None else xp.where(terms.keep, weights, 0))

    # --- as data ----------------------------------------------------------------------------------------------

    def static(self) -> dict[str, Any]:
        """Return the settings that are no numbers: they shape the computation."""
        return {name: self.__dict__[name] for name in self.STATIC}

    def replace(self, **changes: Any) -> Self:
        """Return this loss with some parameters or settings changed.

        Examples
        --------
        >>> import steelyard as sy
        >>> sy.losses.focal(gamma=2.0).replace(reduction="sum")
        SoftmaxCrossEntropy(gamma=2.0, reduction='sum')
        """
        return type(self)(**{**self.parameters, **self.static(), **changes})

    def expand(self, n_classes: int) -> Self:
        """Return the same loss with every per-class parameter present at full shape.

        Losses expanded alike have the same structure, so that one compiled graph serves them all: what a front's
        `assign` needs, and, in JAX, what lets a jitted function take any of them as an argument without tracing
        again. Matrices (pairs, costs) are present where this loss has them.

        Parameters
        ----------
        n_classes : int
            Number of classes (labels, in the sigmoid family).

        Examples
        --------
        >>> import steelyard as sy
        >>> sy.losses.focal(gamma=2.0).expand(3).class_weight
        array([1., 1., 1.])
        """
        full = {}
        for p in self._specification():
            value = self.parameters[p.name]
            full[p.name] = None if p.form == "matrix" and value is None else filled(p, value, n_classes)
        return self._with_parameters(full)

    def _with_parameters(self, parameters: dict[str, Any]) -> Self:
        return self._made(parameters, self.static())

    @classmethod
    def _made(cls, parameters: dict[str, Any], static: Mapping[str, Any]) -> Self:
        """Return a loss of exactly these parameters, unread: present ones stay even where they do nothing."""
        made = object.__new__(cls)
        for name, value in (("parameters", parameters), ("_cache", {}), *static.items()):
            object.__setattr__(made, name, value)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the loss as JSON data: its family and whatever differs from the family's default."""
        out: dict[str, Any] = {"loss": type(self).__name__}
        for p in self.PARAMETERS:
            v = self.parameters[p.name]
            if v is not None:
                xp = _ops.namespace(v)
                out[p.name] = np.asarray(xp.to_numpy(xp.asarray(v)), dtype=np.float64).tolist()
        defaults = type(self)().static() if self.STATIC else {}
        out.update({n: v for n, v in self.static().items() if v != defaults[n]})
        return out

    def __repr__(self) -> str:
        parts = []
        for n, v in list(self.to_dict().items())[1:]:
            short = isinstance(v, list) and len(str(v)) > 48
            parts.append(f"{n}=<{'×'.join(map(str, np.shape(v)))}>" if short else f"{n}={v!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Loss) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(str(self.to_dict()))

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.parameters, self.static()))


def _rebuild(kind: type[Loss], parameters: dict[str, Any], static: dict[str, Any]) -> Loss:
    register_pytrees()
    return kind._made(parameters, static)


def register_pytrees() -> None:
    """Make losses pytrees once JAX is there; nothing is imported for it."""
    xp = _ops.if_imported("jax")
    if xp is None:
        return
    for kind in Loss.__subclasses__():
        if kind in _pytrees:
            continue
        _pytrees.add(kind)
        names = tuple(p.name for p in kind.PARAMETERS)

        def flatten(loss: Loss, names: tuple[str, ...] = names) -> tuple[Any, Any]:
            return tuple(loss.parameters[n] for n in names), tuple(loss.static().items())

        def unflatten(static: Any, leaves: Any, kind: type[Loss] = kind, names: tuple[str, ...] = names) -> Loss:
            return kind._made(dict(zip(names, leaves, strict=True)), dict(static))

        xp.register_pytree(kind, flatten, unflatten)
