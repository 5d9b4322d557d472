"""PyTorch: the inputs and references of `CrossEntropyLoss` and `BCEWithLogitsLoss` in its module database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.testing._internal import common_modules

import steelyard as sy
from tests.peers.suite import Suite

TOLERANCE = {torch.float64: (1e-10, 1e-12), torch.float32: (1e-5, 1e-6)}


def cross_entropy(weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0):
    loss = sy.losses.SoftmaxCrossEntropy(
        class_weight=weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )

    def call(z: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        if z.dim() == 1:  # torch takes one example without a batch
            return call(z[None], t[None])[0] if reduction == "none" else call(z[None], t[None])
        # torch divides soft targets by the number of rows
        return loss(z, t, denominator="rows" if t.is_floating_point() and reduction == "mean" else None)

    return call


def with_logits(weight: Any = None, reduction: str = "mean"):
    loss = sy.losses.SigmoidCrossEntropy(class_weight=weight, reduction=reduction)
    return lambda z, t: loss(z, t, denominator="rows" if reduction == "mean" else None)


KINDS = {
    "CrossEntropyLoss": (
        torch.nn.CrossEntropyLoss,
        common_modules.module_inputs_torch_nn_CrossEntropyLoss,
        cross_entropy,
    ),
    "BCEWithLogitsLoss": (
        torch.nn.BCEWithLogitsLoss,
        common_modules.module_inputs_torch_nn_BCEWithLogitsLoss,
        with_logits,
    ),
}


def cases() -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {}
    torch.manual_seed(0)
    for kind, (module, inputs, adapter) in KINDS.items():
        for dtype in TOLERANCE:
            for one in inputs(module, "cpu", dtype, requires_grad=False, training=False):

                def run(one: Any = one, dtype: Any = dtype, module: Any = module, adapter: Any = adapter) -> None:
                    made, given = one.constructor_input, one.forward_input
                    z, t = given.args
                    if "weight" in made.kwargs:
                        made.kwargs[
                            "weight"
                        ].abs_()  # drawn from both sides of 0; their reference holds the same tensor
                    reference = one.reference_fn(module(*made.args, **made.kwargs), z, t.clone())
                    rtol, atol = TOLERANCE[dtype]
                    ours = adapter(*made.args, **made.kwargs)(z, t)
                    if reference.isnan().all() and (t == made.kwargs.get("ignore_index")).all():
                        reference = torch.zeros(())  # a mean over nothing: NaN in torch (pytorch#70348), 0 here
                    torch.testing.assert_close(ours, reference.to(ours.dtype), rtol=rtol, atol=atol)

                found[f"{kind}[{one.desc or 'plain'}, {str(dtype).removeprefix('torch.')}]"] = run
    return found


SUITE = Suite("PyTorch", "torch/testing/_internal/common_modules.py", cases())
