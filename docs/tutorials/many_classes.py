# %% [markdown]
# # 8,142 classes, most of them rare
#
# Long-tail recognition has thousands of classes: iNaturalist 2018 has 8,142 species, from a thousand photographs of one
# to two of another. Deciding by a plain cross-entropy finds the frequent ones. Here the photographs are numbers: each
# class has a direction in 48 dimensions, examples scatter around it, and class counts fall as they do there. A linear
# head is trained on them with four losses, through `sy.torch.LinearLoss`, which holds no logits of 1,024 rows × 8,142
# classes. Less than a quarter of a minute on one core; needs `pip install "steelyard[torch]"`.

# %%
import numpy as np
import torch

import steelyard as sy

torch.manual_seed(0)
torch.set_num_threads(1)
CLASSES, WIDTH = 8142, 48

# %%
rng = np.random.default_rng(0)
sizes = np.maximum(2, 300 * np.arange(1, CLASSES + 1) ** -0.65).astype(int)
centres = rng.normal(size=(CLASSES, WIDTH)) / np.sqrt(WIDTH)


def examples(labels):
    scattered = centres[labels] + 0.8 * rng.normal(size=(len(labels), WIDTH)) / np.sqrt(WIDTH)
    return torch.tensor(scattered, dtype=torch.float32), torch.tensor(labels)


x, y = examples(np.repeat(np.arange(CLASSES), sizes))
x_test, y_test = examples(np.arange(CLASSES))  # balanced, as benchmarks of this kind are
counts = sy.ClassCounts.from_labels(y.numpy())
print(f"{len(y):,} examples, {CLASSES:,} classes of {sizes.min()} to {sizes.max()}")

# %% [markdown]
# ## One head for each loss

# %%
losses = {
    "cross-entropy": sy.losses.cross_entropy(),
    "class weights": sy.losses.weighted_cross_entropy(sy.class_weight("inverse_sqrt", counts)),
    "focal": sy.losses.focal(gamma=2.0),
    "logit adjustment": sy.losses.logit_adjusted(counts),
}
bands = {"many (> 50)": sizes > 50, "medium": (sizes > 5) & (sizes <= 50), "few (≤ 5)": sizes <= 5}
recalls = {}
print(f"{'recall of classes':18}" + "".join(f"{name:>14}" for name in (*bands, "all")))
for name, loss in losses.items():
    torch.manual_seed(0)
    head = sy.torch.LinearLoss(loss, WIDTH, CLASSES)
    optimiser = torch.optim.Adam(head.parameters(), 0.1)
    for _ in range(2):
        for rows in torch.randperm(len(y)).split(1024):
            optimiser.zero_grad()
            head(x[rows], y[rows]).backward()
            optimiser.step()
    with torch.no_grad():
        right = (head.logits(x_test).argmax(1) == y_test).numpy()
    recalls[name] = [right[band].mean() for band in bands.values()] + [right.mean()]
    print(f"{name:18}" + "".join(f"{v:14.3f}" for v in recalls[name]))

# %% [markdown]
# Weights and offsets find more of the rare classes; the frequent ones are so well separated here that they lose
# nothing. Focusing alone is no cure for imbalance. The last column is balanced accuracy, for which logit adjustment is
# consistent (Menon et al., ICLR 2021, arXiv:2007.07314).
#
# ## What the linear form is worth in memory
#
# The largest tensors of a step, beyond the weights and their gradient: the plain path keeps logits and their gradient
# for every row of the batch, the linear form for as many as the workspace holds. Here for 2,048 rows.

# %%
plain_path = 2 * 2048 * CLASSES * 4 / 2**20
workspace = sy.torch.LinearLoss(losses["focal"], WIDTH, CLASSES, workspace=16 * 2**20).workspace / 2**20
print(f"logits and gradient of 2,048 rows: {plain_path:.0f} MiB; a workspace of {workspace:.0f} MiB does the same:")
rows = torch.arange(2048)
small = sy.torch.linear_loss(losses["focal"], x[rows], head.weight, y[rows], head.bias, workspace=16 * 2**20)
large = losses["focal"](head.logits(x[rows]), y[rows])
difference = abs(small.item() - large.item()) / large.item()
print(f"{small.item():.6f} and {large.item():.6f} nats")
