# %% [markdown]
# # A language model and its rare words
#
# Half of all tokens are a few dozen words; thousands of words are seen a handful of times. A model that minimises plain
# cross-entropy gives its arg max to the former. Here a small language model, built in this file, is trained on the
# pages that `help()` prints, which come with Python; then it is fine-tuned twice from the same weights, once as before
# and once with logits adjusted by the token counts (Menon et al., ICLR 2021, arXiv:2007.07314). One line differs.
#
# The classifier of a language model is the largest tensor there is, and its logits are larger still: 4 MB here, for a
# batch of 512 tokens, gigabytes for a real one. `sy.torch.LinearLoss` takes hidden states instead and never stores
# them. Less than a quarter of a minute on one core; needs `pip install "steelyard[torch]"`.

# %%
import copy
import re
from collections import Counter
from pydoc_data import topics

import torch
from torch import nn

import steelyard as sy

torch.manual_seed(0)
torch.set_num_threads(1)

words = re.findall(r"\w+|[^\w\s]", " ".join(topics.topics.values()).lower())
vocabulary = [w for w, n in Counter(words).most_common() if n >= 3]
index = {w: i for i, w in enumerate(vocabulary)}
IGNORED = -100  # words seen once or twice are read as one token, and not predicted
tokens = torch.tensor([index.get(w, len(vocabulary)) for w in words])
split = int(0.9 * len(tokens))
train, held_out = tokens[:split], tokens[split:]

seen = train[train < len(vocabulary)]
counts = sy.ClassCounts.from_counts(torch.bincount(seen, minlength=len(vocabulary)).numpy())
print(f"{len(tokens):,} tokens, {len(vocabulary):,} classes, the most frequent {counts.counts.max():,} times")

# %% [markdown]
# ## The model
#
# One layer of causal attention, and the classifier that is also the loss.

# %%
LENGTH, WIDTH = 32, 64


class Model(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary) + 1, WIDTH)
        self.position = nn.Parameter(0.1 * torch.randn(LENGTH, WIDTH))
        self.block = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, dropout=0.0, batch_first=True, norm_first=True)
        self.head = sy.torch.LinearLoss(loss, WIDTH, len(vocabulary))

    def hidden(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(LENGTH)
        return self.block(self.embedding(x) + self.position, src_mask=mask, is_causal=True)

    def forward(self, x, y):
        return self.head(self.hidden(x), y)


def batches(data, rows, generator):
    while True:
        start = torch.randint(0, len(data) - LENGTH - 1, (rows,), generator=generator)
        at = start[:, None] + torch.arange(LENGTH)
        x, y = data[at], data[at + 1]
        yield x, torch.where(y < len(vocabulary), y, IGNORED)


def fit(model, steps, rate):
    optimiser = torch.optim.AdamW(model.parameters(), rate)
    for _, (x, y) in zip(range(steps), batches(train, 16, torch.Generator().manual_seed(1)), strict=False):
        value = model(x, y)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return value.item()


plain = sy.losses.cross_entropy(ignore_index=IGNORED)
model = Model(plain)
print(f"after training: {fit(model, 250, 3e-3):.2f} nats per token")

# %% [markdown]
# ## Fine-tuning, twice
#
# `assign` writes the numbers of another loss into the layer. Weights would be as easy:
# `sy.losses.weighted_cross_entropy(sy.class_weight("inverse_sqrt", counts))`.

# %%
adjusted = sy.losses.logit_adjusted(counts, tau=0.5, ignore_index=IGNORED)
tuned = {}
for name, loss in {"as before": plain, "logit adjustment": adjusted}.items():
    tuned[name] = copy.deepcopy(model)
    tuned[name].head.assign(loss)
    fit(tuned[name], 100, 1e-3)

# %% [markdown]
# ## What changed
#
# The share of held-out tokens that are the model's first choice, by how often their word was seen; and the
# log-likelihood of the probabilities, once read off the logits as if nothing had happened, once from `posterior`, which
# takes the adjustment back.

# %%
generator = torch.Generator().manual_seed(2)
x, y = next(batches(held_out, 200, generator))
kept = y != IGNORED
target = y[kept]
often = torch.tensor(counts.counts)[target]
bands = {"≥ 1000": often >= 1000, "100 to 999": (often >= 100) & (often < 1000), "< 100": often < 100}
results = {}
print(f"{'':18}" + "".join(f"{name:>14}" for name in (*bands, "nats, softmax", "posterior")))
with torch.no_grad():
    for name, trained in tuned.items():
        hidden = trained.hidden(x)[kept]
        logits, eta = trained.head.logits(hidden), trained.head.posterior(hidden)
        right = (logits.argmax(1) == target).double()
        row = [right[band].mean().item() for band in bands.values()]
        softmax = torch.log_softmax(logits, 1)
        row += [-p.gather(1, target[:, None]).mean().item() for p in (softmax, eta.log())]
        results[name] = row
        print(f"{name:18}" + "".join(f"{v:14.3f}" for v in row))

# %% [markdown]
# Rare words are found more often and frequent ones less: what is right depends on what the model is for. The softmax of
# the adjusted logits is no longer a probability of the next word; `posterior` is, at hardly any cost against the plain
# model.
#
# ## The same numbers without the logits
#
# A real batch does not fit; it is cut into micro-batches, or spread over devices. With the denominator of all of them
# the gradients add up to that of one batch.

# %%
head = tuned["logit adjustment"].head
x, y = next(batches(train, 8, generator))
hidden = tuned["logit adjustment"].hidden(x).detach()
head.zero_grad()
head(hidden, y).backward()
whole = head.weight.grad.clone()
head.zero_grad()
tokens_that_count = (y != IGNORED).sum()
for part in (slice(0, 3), slice(3, 8)):
    head(hidden[part], y[part], denominator=tokens_that_count).backward()
difference = ((head.weight.grad - whole).norm() / whole.norm()).item()
print(f"two micro-batches against one batch: the gradients differ by {difference:.0e}, relatively")
