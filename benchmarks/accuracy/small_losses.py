"""How exact a small cross-entropy is in float32: a confident, right row of 1000 classes, one logit above the rest.

    python benchmarks/accuracy/small_losses.py

The exact loss is log1p((C − 1) e^(−gap)) in float64. Relative errors are printed; 100 % is a loss of 0.
Quoted in docs/decisions/0004-leave-one-class-out-of-the-sum.md.
"""

from __future__ import annotations

from math import exp, log1p

import numpy as np

import steelyard as sy

N_CLASSES = 1000
GAPS = (5, 10, 15, 20, 25, 30)
COLUMNS = ("PyTorch", "TensorFlow", "optax", "Steelyard")


def relative_errors(gap: float) -> dict[str, float]:
    """Return |loss / exact − 1| of each implementation, float32."""
    import optax
    import tensorflow as tf
    import torch

    z, y = np.zeros((1, N_CLASSES), dtype=np.float32), np.array([0])
    z[0, 0] = gap
    losses = (
        torch.nn.functional.cross_entropy(torch.from_numpy(z), torch.from_numpy(y)),
        tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)[0],
        optax.softmax_cross_entropy_with_integer_labels(z, y)[0],
        sy.losses.cross_entropy()(torch.from_numpy(z), torch.from_numpy(y)),
    )
    exact = log1p((N_CLASSES - 1) * exp(-gap))
    return {name: abs(float(loss) / exact - 1) for name, loss in zip(COLUMNS, losses, strict=True)}


def gradients_of_target(gap: float) -> tuple[float, float]:
    """Return ∂loss/∂(target logit) of PyTorch and of ours, float32; exact is −(1 − q)."""
    import torch

    found = []
    for loss in (torch.nn.functional.cross_entropy, sy.losses.cross_entropy()):
        z = torch.zeros(1, N_CLASSES)
        z[0, 0] = gap
        z.requires_grad_(True)
        loss(z, torch.tensor([0])).backward()
        found.append(z.grad[0, 0].item())
    return found[0], found[1]


def percent(error: float) -> str:
    return f"{100 * error:.1f} %" if error > 5e-4 else f"{100 * error:.0e} %"


def main() -> None:
    print("| gap | exact loss | " + " | ".join(COLUMNS) + " |")
    print("|---:" * (2 + len(COLUMNS)) + "|")
    for gap in GAPS:
        exact = log1p((N_CLASSES - 1) * exp(-gap))
        cells = [percent(error) for error in relative_errors(gap).values()]
        print(f"| {gap} | {exact:.3g} | " + " | ".join(cells) + " |")
    gradients = gradients_of_target(25.0)
    print("\ngradient of the target logit at a gap of 25: PyTorch {:.1e}, Steelyard {:.1e}".format(*gradients))


if __name__ == "__main__":
    main()
