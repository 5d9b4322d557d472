# %% [markdown]
# # Weighted cross-entropy, question by question
#
# Rare classes, TensorFlow, and a handful of questions that everybody asks in the same order. Each section takes one:
# what TensorFlow's own functions do, the same in one line of Steelyard, and a check that both agree to 1e-6. Where
# an answer that is often given does something else than it says, you see the numbers. It runs in less than half a
# minute on one core, and needs `pip install "steelyard[all]"`.

# %%
import os
import warnings
from math import comb

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf
import torch
from sklearn.metrics import balanced_accuracy_score, brier_score_loss, roc_auc_score

import steelyard as sy
from steelyard.errors import InputError

agreements = 0


def same(ours, theirs, rtol=1e-6):
    """Stop the tutorial unless two results are equal; return the first as NumPy."""
    global agreements
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=1e-12)
    agreements += 1
    return ours


# Four rows of three classes. Logits are raw scores: no softmax before the loss, in TensorFlow as here.
logits = tf.constant([[2.0, 0.5, -1.0], [0.3, 1.2, 0.1], [0.0, -0.5, 0.4], [1.5, 0.2, 0.9]], tf.float64)
labels = tf.constant([0, 1, 2, 2])
onehot = tf.one_hot(labels, 3, dtype=tf.float64)

# %% [markdown]
# ## I only know the class counts. Which weights?
#
# Counts are enough: 198 of A, 436 of B, 710 of C, 272 of D. Every scheme is a formula in the count n of the class and
# the total N, and the weights come in the order of `counts.classes`.

# %%
counts = sy.ClassCounts.from_counts({"A": 198, "B": 436, "C": 710, "D": 272})
n, N = counts.counts, counts.total
log_inverse = same(sy.class_weight("log_inverse", counts), np.log(N / n) + 1)
balanced = same(sy.class_weight("balanced", counts), N / (4 * n))
halves = same(sy.class_weight("inverse", counts) / 2, N / (2 * n))  # the formula of many two-class tutorials
unit_sum = same(sy.class_weight("inverse", counts, normalize="sum"), (1 / n) / (1 / n).sum())
print("counts                  ", dict(zip(counts.classes, n.tolist(), strict=True)))
print("log_inverse  log(N/n)+1 ", log_inverse.round(3))
print("balanced     N/(4n)      ", balanced.round(3))
print("             N/(2n)      ", halves.round(3))
print("inverse      Σw = 1      ", unit_sum.round(3))

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    sy.class_weight(n / N, counts)
print("n/N: a warning           ", str(caught[0].message).split("Hint: ")[1])

# %% [markdown]
# The three in the middle are one and the same choice: only the *ratios* of weights say how classes compare. The common
# factor is a matter of the learning rate, and in a weighted mean (below) it cancels. `log_inverse` is another choice: A
# is 3.6 times rarer than C and gets only 1.7 times its weight. And `198 / 1616 = 0.12` as the weight of A is the share
# itself: the frequent class would be counted twice over.
#
# ## How do I put class weights on the loss?
#
# Compute the loss of each row, multiply by the weight of the row's *true* class. With integer labels the weight is
# gathered; with one-hot labels it is a sum with one term that is not zero.

# %%
w = np.array([1.0, 2.0, 3.0])
from_labels = tf.gather(w, labels) * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
from_onehot = tf.reduce_sum(w * onehot, axis=-1) * tf.nn.softmax_cross_entropy_with_logits(onehot, logits)

loss = sy.losses.weighted_cross_entropy(w, reduction="none")
per_row = same(loss(logits, labels), from_labels)
same(loss(logits, onehot), from_onehot)
print("weighted loss of each row", per_row.round(4))

# %% [markdown]
# The same object takes torch, Keras, JAX and NumPy tensors. Weights can also come at the call: one per class, or a
# tensor (N, C) with a row of weights for every example.

# %%
tz, ty = torch.tensor(logits.numpy()), torch.tensor(labels.numpy(), dtype=torch.long)
same(loss(tz, ty), torch.nn.functional.cross_entropy(tz, ty, weight=torch.tensor(w), reduction="none"))

keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="none", dtype="float64")
same(loss(logits, labels), keras_loss(labels, logits, sample_weight=tf.gather(w, labels)))

plain = sy.losses.cross_entropy(reduction="none")
same(plain(logits, labels, class_weight=w), from_labels)

table = tf.constant([[1.0, 1.0, 1.0], [1.0, 5.0, 1.0], [2.0, 2.0, 0.5], [0.0, 0.0, 4.0]], tf.float64)
by_hand = tf.reduce_sum(table * onehot, axis=-1) * tf.nn.softmax_cross_entropy_with_logits(onehot, logits)
print("with a table (N, C)      ", same(plain(logits, labels, class_weight=table), by_hand).round(4))

# In Keras one line, also for what `fit(class_weight=…)` cannot do: a time axis, pixels, several labels per row
in_keras = sy.keras.Loss(sy.losses.weighted_cross_entropy(w))
same(in_keras(labels, logits), tf.reduce_sum(from_labels) / tf.reduce_sum(tf.gather(w, labels)))
model = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])  # logits: no activation
model.compile(optimizer="adam", loss=in_keras)

# %% [markdown]
# ## Why does `weights = class_weights` not work?
#
# Because losses come one per *example* and class weights one per *class*. With 4 rows and 3 classes the shapes do not
# broadcast, and TensorFlow says so. With as many rows as classes they do, and nothing is said: row 0 gets the weight
# of class 0, whatever its label.

# %%
losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
try:
    losses * w
except tf.errors.InvalidArgumentError as error:
    print("TensorFlow:", error.message.split("}} ")[1].split(" [Op")[0])
try:
    plain(logits, labels, sample_weight=w)
except InputError as error:
    print("Steelyard: ", error)

square = slice(1, 4)  # three rows, three classes
silent = losses[square] * w
meant = plain(logits[square], labels[square], class_weight=w)
print("three rows × three classes: silently", silent.numpy().round(3), "meant", meant.numpy().round(3))
assert abs(silent.numpy() - meant.numpy()).max() > 0.3

print("a column: (4, 1) * (4,) is", (tf.gather(w, labels) * losses[:, None]).shape)
try:
    plain(logits, labels[:, None])
except InputError as error:
    print("Steelyard: ", str(error).split("Hint: ")[1])

# %% [markdown]
# No shape can tell a row weight from a class weight when there are as many rows as classes; two arguments can.
# `class_weight=` is per class and is gathered, `sample_weight=` is per example and multiplies it. A *column* of losses
# has the same trap, (N, 1) * (N,) is (N, N).
#
# ## Why do Keras, PyTorch and TensorFlow 1 give different weighted means?
#
# Because they divide by different numbers. Four rows of two classes with weights 1 and 10, and a fifth row that is
# padding and has weight 0:

# %%
z = tf.constant([[0.0, -1.0], [0.0, -1.0], [0.0, 0.0], [1.5, 0.0], [0.0, 0.0]], tf.float64)
y = tf.constant([0, 0, 0, 1, 0])
real = tf.constant([1.0, 1.0, 1.0, 1.0, 0.0], tf.float64)
w2 = np.array([1.0, 10.0])
s = tf.gather(w2, y) * real
criterion = sy.losses.weighted_cross_entropy(w2)
rows4, y4 = torch.tensor(z.numpy()[:4]), torch.tensor([0, 0, 0, 1])
torch_mean = torch.nn.functional.cross_entropy(rows4, y4, weight=torch.tensor(w2))
torch_soft = torch.nn.functional.cross_entropy(rows4, torch.eye(2, dtype=torch.float64)[y4], weight=torch.tensor(w2))
keras_mean = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")(y, z, sample_weight=s)
tf1_mean = tf.compat.v1.losses.sparse_softmax_cross_entropy(y, z, weights=s)
a = same(criterion(z, y, sample_weight=real), torch_mean)
b = same(criterion(z, y, sample_weight=real, denominator="rows"), keras_mean)
c = same(criterion(z, y, sample_weight=real, denominator="sample_weight"), tf1_mean)
same(c, torch_soft)
print(f"PyTorch       Σ wℓ / Σ w              {a:.2f}   ours by default")
print(f"Keras         Σ wℓ / rows             {b:.2f}   denominator='rows'")
print(f"TensorFlow 1  Σ wℓ / rows with w ≠ 0  {c:.2f}   denominator='sample_weight'")

# %% [markdown]
# One data set, 1.41 against 4.58, and none of them is wrong. (PyTorch itself gives 4.58 as soon as the targets are
# one-hot.) It matters where a learning rate or an early-stopping threshold is carried from one library to another.
# Ours is one rule, Σ s·w·ℓ / Σ s·w, and the others have names.
#
# ## Can I multiply the logits by the weights instead?
#
# A much-read answer does: weights log(N/n) + 1, multiplied into the logits before the softmax. It is **not** a weighted
# loss. First, it has been written in two ways that differ. As a *formula*, all logits of an example are scaled by the
# weight of its true class; as *code*, `logits * class_weights`, every logit is scaled by the weight of its own class.
# One row shows both:

# %%
row, truth = tf.constant([[1.0, 2.0, -1.0]], tf.float64), tf.constant([0])
v = np.array([0.5, 1.2, 0.4])
row_scaled = row * tf.gather(v, truth)[:, None]
one = same(plain(row_scaled, truth), tf.nn.sparse_softmax_cross_entropy_with_logits(truth, row_scaled)).item()
own_class = sy.losses.scaled_logits(v, reduction="none")
two = same(own_class(row, truth), tf.nn.sparse_softmax_cross_entropy_with_logits(truth, row * v)).item()
print(f"all logits × weight of the true class {one:.2f},   each logit × its own weight {two:.2f}")

# %% [markdown]
# The second is a recipe here, named for what it is: `scaled_logits(w)`. The first needs the label to compute the
# logits, so it cannot be used in prediction; multiply by `w[y]` before the call, as above.
#
# Now weights on the loss against weights in the logits, with log(N/n) + 1 for 31,000 against 500,000 rows:

# %%
two_classes = sy.ClassCounts.from_counts({"common": 500_000, "rare": 31_000})
v = sy.class_weight("log_inverse", two_classes)
rows = tf.constant([[0.0, 0.5], [0.0, -0.5], [1.0, 1.5], [1.0, 0.5]], tf.float64)
rare = tf.constant([1, 1, 1, 1])
on_loss = tf.gather(v, rare) * tf.nn.sparse_softmax_cross_entropy_with_logits(rare, rows)
in_logits = tf.nn.sparse_softmax_cross_entropy_with_logits(rare, rows * v)
on_loss = same(sy.losses.weighted_cross_entropy(v, reduction="none")(rows, rare), on_loss)
in_logits = same(sy.losses.scaled_logits(v, reduction="none")(rows, rare), in_logits)
print("weights                 ", v.round(3), "for", two_classes.classes)
print("rows of the rare class  ", rows.numpy().tolist())
print("no weights              ", plain(rows, rare).numpy().round(3))
print("weights on the loss     ", on_loss.round(3))
print("weights in the logits   ", in_logits.round(3))

# %% [markdown]
# Rows 0 and 2 differ by a constant, so softmax gives them the same probabilities, and a weighted loss the same loss.
# With scaled logits they differ: the loss depends on where the zero of the logits happens to be. And row 3, of the rare
# class and *wrong*, costs less than without weights: the opposite of what was wanted.
#
# If the scaled logits are used in prediction too, nothing has changed at all. The last layer gives Kx + b; scaled it
# gives (WK)x + Wb, just another last layer. Both have the same best probabilities: the weights are gone. Train and see:

# %%
rng = np.random.default_rng(0)
inputs = tf.constant(np.vstack([rng.normal(0.0, 1.0, (570, 2)), rng.normal(1.0, 1.0, (30, 2))]))
answers = tf.constant(np.repeat([0, 1], [570, 30]))


@tf.function
def newton_step(parameters, x, y, objective):
    with tf.GradientTape() as outer:
        outer.watch(parameters)
        with tf.GradientTape() as inner:
            inner.watch(parameters)
            value = objective(x @ parameters[1:] + parameters[0], y)
        gradient = inner.gradient(value, parameters)
    size = tf.size(parameters)
    hessian = tf.reshape(outer.jacobian(gradient, parameters), (size, size))
    # softmax does not see a constant in all logits: a ridge of 1e-9 makes the system solvable
    step = tf.linalg.solve(hessian + 1e-9 * tf.eye(size, dtype=tf.float64), tf.reshape(gradient, (-1, 1)))
    return parameters - tf.reshape(step, tf.shape(parameters))


def train(objective, x, y, columns, x_new):
    """Return the logits at x_new of a linear model with a loss at its minimum, by Newton's method."""
    parameters = tf.fill((x.shape[1] + 1, columns), tf.constant(0.01, tf.float64))
    for _ in range(12):
        parameters = newton_step(parameters, x, y, objective)
    return x_new @ parameters[1:] + parameters[0]


unscaled, scaled, weighted = (
    train(objective, inputs, answers, columns=2, x_new=inputs)
    for objective in (
        lambda z, y: tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, z)),
        sy.losses.scaled_logits(v),
        sy.losses.weighted_cross_entropy(v),
    )
)
called_rare = {
    "plain": tf.nn.softmax(unscaled)[:, 1],
    "scaled, in prediction too": same(tf.nn.softmax(scaled * v)[:, 1], tf.nn.softmax(unscaled)[:, 1]),
    "weights on the loss": tf.nn.softmax(weighted)[:, 1],
}
print("rows called rare:", {name: int((np.asarray(p) > 0.5).sum()) for name, p in called_rare.items()})

# %% [markdown]
# Scaling *in training only* does change decisions, and has its place: temperatures that follow the class counts
# (`sy.losses.cdt`, `vector_scaling`; Ye et al. 2020, arXiv:2001.01385; Kini et al., NeurIPS 2021, arXiv:2103.01550)
# act on networks that fit their training data perfectly, where weights on the loss are forgotten. Note the direction:
# there the *frequent* class has the larger factor.
#
# ## Does `weighted_cross_entropy_with_logits` do several classes?
#
# It does several *labels*. It is a sigmoid per column, each column a yes/no question of its own, and `pos_weight`
# multiplies the "yes" half of each:

# %%
theirs = tf.nn.weighted_cross_entropy_with_logits(onehot, logits, pos_weight=w)
per_label = sy.losses.SigmoidCrossEntropy(pos_weight=w, reduction="none")
same(per_label(logits, onehot), theirs)
print("one loss per row and column", theirs.shape)
print("summed over the columns    ", theirs.numpy().sum(-1).round(3))
print("weighted softmax           ", per_row.round(3))

# %% [markdown]
# That is right for several labels per row. For classes that exclude each other the columns do not know of each other:
# their probabilities need not sum to 1, and the weight of a class is missing from the "no" halves of the other
# columns. With true probabilities .60, .28, .12 and weights 1, 2, 5.5 the two losses end in different decisions:

# %%
eta, u = np.array([[0.60, 0.28, 0.12]]), np.array([1.0, 2.0, 5.5])
at_sigmoid = np.log(u * eta / (1 - eta))  # where the sigmoid loss is at rest: odds times weight
at_softmax = np.log(u * eta)  # where the weighted softmax is at rest
same(sy.losses.SigmoidCrossEntropy(pos_weight=u).posterior(at_sigmoid), eta)
same(sy.losses.weighted_cross_entropy(u).posterior(at_softmax), eta)
print("sigmoids", at_sigmoid.round(2), "→ class", at_sigmoid.argmax(), "   softmax", at_softmax.round(2), end=" ")
print("→ class", at_softmax.argmax(), "   w·p", (u * eta).round(2), "→ class", (u * eta).argmax())

# %% [markdown]
# For exactly two classes both are one: a logit z against 0, and weights (1, pos_weight).
#
# One thing to know about TensorFlow's function: at a logit of *exactly* 0, where a last layer that starts at zero
# begins, its gradient is wrong. It goes through |z|, whose derivative at 0 is taken as 0. (PyTorch had the same and
# changed its formula: pytorch#2195.)

# %%
z1, y1 = logits[:, 0], tf.constant([1.0, 0.0, 0.0, 1.0], tf.float64)
binary = sy.losses.SigmoidCrossEntropy(pos_weight=16.0, reduction="none")
pair = sy.losses.weighted_cross_entropy([1.0, 16.0], reduction="none")
same(binary(z1, y1), tf.nn.weighted_cross_entropy_with_logits(y1, z1, pos_weight=16.0))
same(binary(z1, y1), pair(tf.stack([tf.zeros_like(z1), z1], 1), tf.cast(y1, tf.int32)))

zero, one_positive = tf.Variable([0.0], dtype=tf.float64), tf.constant([1.0], tf.float64)
with tf.GradientTape(persistent=True) as tape:
    theirs = tf.nn.weighted_cross_entropy_with_logits(one_positive, zero, pos_weight=16.0)
    ours = binary(zero, one_positive)
same(ours, theirs)
at_zero = tape.gradient(theirs, zero).numpy().item(), tape.gradient(ours, zero).numpy().item()
print("gradient at 0 for a positive of weight 16: TensorFlow {:.0f}, Steelyard {:.0f}".format(*at_zero))

# %% [markdown]
# ## I have 31,000 against 500,000. What now?
#
# What the schemes give:

# %%
N, n = two_classes.total, two_classes.counts
print(f"{'':18}{'common':>10}{'rare':>10}{'ratio':>8}")
for name in ("balanced", "log_inverse", "inverse_sqrt", "effective_number"):
    c0, c1 = sy.class_weight(name, two_classes, normalize="n_classes")
    print(f"{name:18}{c0:10.4f}{c1:10.4f}{c1 / c0:8.2f}")
pos_weight = same(sy.class_weight("pos_weight", two_classes)[1], 500_000 / 31_000)
prior = two_classes.priors[1]
print(f"pos_weight = negatives / positives = {pos_weight:.2f};   prior of the rare class {prior:.4f}")

# %% [markdown]
# Effective numbers with their β of .9999 hardly weight at all here: beyond 1/(1 − β) = 10,000 rows a class counts as
# large. One minus the share of the class, a common answer for two classes, is `balanced` once more: the ratio is 16.13.
#
# Before training with any of them: a plain model with its *threshold moved* from .5 to the prior does for labels what
# balanced weights do, free. A tenth of the data, made up, a model that is only roughly right, fresh rows for the test:


# %%
def made_up(seed, common=50_000, rare=3_100):
    rng = np.random.default_rng(seed)
    x = np.vstack([rng.normal(0.0, 1.0, (common, 2)), rng.normal([1.2, 0.8], [1.3, 0.8], (rare, 2))])
    return tf.constant(x), np.repeat([0.0, 1.0], [common, rare])


bce = sy.losses.SigmoidCrossEntropy(pos_weight=pos_weight)
(x_train, t_train), (x_test, t_test) = made_up(seed=1), made_up(seed=2)
z_plain, z_tf, z_ours = (
    train(objective, x_train, tf.constant(t_train[:, None]), columns=1, x_new=x_test)[:, 0]
    for objective in (
        sy.losses.SigmoidCrossEntropy(),
        lambda z, t: tf.reduce_mean(tf.nn.weighted_cross_entropy_with_logits(t, z, pos_weight)),
        lambda z, t: bce(z, t, denominator="rows"),
    )
)
z_weighted = same(z_ours, z_tf)
scores = {
    "plain, threshold .5": (tf.sigmoid(z_plain).numpy(), 0.5),
    "plain, threshold = prior": (tf.sigmoid(z_plain).numpy(), prior),
    "pos_weight, threshold .5": (tf.sigmoid(z_weighted).numpy(), 0.5),
    "pos_weight, repaired": (bce.posterior(z_weighted), prior),
}
results = {}
print(f"{'':28}{'balanced acc.':>14}{'ROC AUC':>9}{'Brier':>8}{'mean p':>8}   true share {t_test.mean():.4f}")
for name, (p, threshold) in scores.items():
    ranked = balanced_accuracy_score(t_test, p > threshold), roc_auc_score(t_test, p)
    results[name] = *ranked, brier_score_loss(t_test, p), p.mean()
    print(f"{name:28}" + "{:14.4f}{:9.4f}{:8.4f}{:8.4f}".format(*results[name]))

# %% [markdown]
# Read it by columns. *Labels:* weights and the moved threshold win the same, to a third of a point; plain at .5 looks
# hopeless only because .5 was the wrong place to cut. *Ranking:* hardly moved. *Probabilities:* after weighting, "0.4"
# no longer means 40 %, and the mean prediction is six times the true share; `posterior` takes the weight back out.
#
# This is not special to made-up data: van den Goorbergh et al. 2022 (doi:10.1093/jamia/ocac093) find the same for
# logistic models, Elor and Averbuch-Elor 2022 (arXiv:2201.08528) for resampling. So weight when you want the *training*
# to care: a small network that must choose what to represent, costs that differ. Otherwise move the threshold.
#
# ## Weights by the true class, by the predicted class, or by the pair
#
# "Calling a C a B is worse than calling a B an A" is a weight for a *pair*. In TensorFlow one gathers at the arg max
# (hard) or takes the expectation over the predicted probabilities (soft), with the gradient stopped:

# %%
W = np.array([[1.0, 1.0, 1.0], [2.0, 1.0, 1.0], [1.0, 6.0, 1.0]])  # W[truth, prediction]
ce = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
best = tf.argmax(logits, axis=-1, output_type=tf.int32)
p = tf.stop_gradient(tf.nn.softmax(logits))
by_hand = {
    "target": tf.gather(w, labels) * ce,
    "prediction": tf.reduce_sum(w * p, axis=-1) * ce,
    "prediction_hard": tf.gather(w, best) * ce,
    "pair": tf.reduce_sum(tf.gather(W, labels) * p, axis=-1) * ce,
    "pair_hard": tf.gather_nd(W, tf.stack([labels, best], -1)) * ce,
}
for way, expected in by_hand.items():
    weights = W if way.startswith("pair") else w
    ours = sy.losses.weighted_cross_entropy(weights, weight_by=way, reduction="none")
    print(f"{way:16}", same(ours(logits, labels), expected).round(4))

# %% [markdown]
# They are not three strengths of one thing. A weight by *prediction* is the same for every label a row could have, so
# what the model converges to does not move: at the true probabilities the expected gradient is zero. A weight by
# *target* or by *pair* moves it. Check with true probabilities η and logits log η:

# %%
for way, weights in [("target", w), ("prediction", w), ("pair", W)]:
    ours = sy.losses.weighted_cross_entropy(weights, weight_by=way)
    every_label = [ours.gradient(np.log(eta), np.array([k])) for k in range(3)]
    expected = sum(eta[0, k] * every_label[k] for k in range(3))
    print(f"{way:12} expected gradient at the truth {abs(expected).max():.3f}")
    assert (abs(expected).max() < 1e-12) == (way == "prediction")

# If the costs are about decisions, keep the plain loss and decide by them: the cheapest class under the predicted
# probabilities (Elkan, IJCAI 2001). No retraining when a cost changes.
costs = np.array([[0.0, 1.0, 1.0], [2.0, 0.0, 1.0], [1.0, 6.0, 0.0]])  # costs[truth, decision]
cheapest = tf.argmin(tf.nn.softmax(logits) @ costs, axis=-1)
print("most probable", best.numpy(), " cheapest", same(sy.decisions.min_cost(tf.nn.softmax(logits), costs), cheapest))

# %% [markdown]
# ## Weights for true and false positives and negatives
#
# Asked of TensorFlow as issue 14909: not a weight per class but per *outcome*. `outcome_weight[truth, decision]` is the
# table [[TN, FP], [FN, TP]], taken in expectation over the decision. By hand, with the gradient stopped:

# %%
TN, FP, FN, TP = 1.0, 2.0, 5.0, 0.5
yes = tf.stop_gradient(tf.sigmoid(z1))
weight = y1 * (yes * TP + (1 - yes) * FN) + (1 - y1) * (yes * FP + (1 - yes) * TN)
expected = weight * tf.nn.sigmoid_cross_entropy_with_logits(y1, z1)
outcomes = sy.losses.outcome_weighted([[TN, FP], [FN, TP]], reduction="none")
print("by outcome", same(outcomes(z1, y1), expected).round(4))
with tf.GradientTape(persistent=True) as tape:
    tape.watch(z1)
    ours, hand = outcomes(z1, y1), weight * tf.nn.sigmoid_cross_entropy_with_logits(y1, z1)
print("gradient  ", same(tape.gradient(ours, z1), tape.gradient(hand, z1)).round(4))

# %% [markdown]
# It trains a model that fears misses more. For *decisions* with known costs the exact answer is again a threshold on
# sound probabilities, t = (FP − TN) / (FP − TN + FN − TP) with costs in place of weights.
#
# ## Weights that are computed from each batch
#
# Edge detection does this: β = share of negatives in *this* image, on the positives, and 1 − β on the negatives (HED,
# Xie and Tu, ICCV 2015, arXiv:1504.06375). Hand the numbers over at the call.

# %%
image = tf.constant(rng.normal(size=400))
edges = tf.constant((rng.random(400) < 0.1).astype(float))
beta = 1 - tf.reduce_mean(edges)
theirs = tf.reduce_sum((1 - beta) * tf.nn.weighted_cross_entropy_with_logits(edges, image, beta / (1 - beta)))
one_logit = sy.losses.SigmoidCrossEntropy(reduction="sum")
same(one_logit(image, edges, sample_weight=tf.where(edges > 0, beta, 1 - beta)), theirs)
two_logits = sy.losses.cross_entropy(reduction="sum")
stacked = tf.stack([tf.zeros_like(image), image], axis=-1)
hed = same(two_logits(stacked, tf.cast(edges, tf.int32), class_weight=tf.stack([1 - beta, beta])), theirs)
same(sy.class_weight("per_batch", sy.ClassCounts.from_labels(edges)), [1 - beta, beta])
print(f"β = {beta:.3f}, HED's loss of the image {hed:.4f}")

# %% [markdown]
# ### A trap: the weighted mean of a small batch
#
# Weighted means divide by the weights *in the batch*, and a batch with a rare row has a large sum of weights. So rare
# rows are divided by more, just when they turn up. Two classes 98 to 2, balanced weights: over the whole data each
# class has half of the say. Over batches of B rows, with k rare ones among them,
#
#     share of the rare class = E[k w₁ / (k w₁ + (B − k) w₀)],    k ~ Binomial(B, .02)

# %%
shares = sy.ClassCounts.from_counts([98, 2])
w0, w1 = sy.class_weight("balanced", shares)
biased = {}
for B in (1, 8, 32, 256):
    k = np.arange(B + 1)
    chance = np.array([comb(B, i) * 0.02**i * 0.98 ** (B - i) for i in range(B + 1)])
    biased[B] = (chance * k * w1 / (k * w1 + (B - k) * w0)).sum()
    print(f"batch {B:3}   share of the rare class {biased[B]:.3f}")

# The loss shows it: at equal logits a balanced problem is at rest, and its expected gradient on the rare logit,
# (1 − 2·share)/2, should be 0. Twenty thousand batches of 32:
batches = (np.random.default_rng(3).random((20_000, 32)) < 0.02).astype(int)
balanced_loss = sy.losses.weighted_cross_entropy([w0, w1])
gradients = balanced_loss.gradient(np.zeros((640_000, 2)), batches.ravel())[:, 1].reshape(batches.shape).sum(1)
weights = np.where(batches == 1, w1, w0).sum(1)
by_batch = (gradients / weights).mean()
constant = 32 * shares.priors @ np.array([w0, w1])  # what Σw is on average: batch · Σ π w
by_constant = (gradients / constant).mean()
print(f"expected gradient ÷ Σw of the batch {by_batch:+.3f} (exact {(1 - 2 * biased[32]) / 2:+.3f})", end="   ")
print(f"÷ constant {constant:g}: {by_constant:+.3f} (exact +0.000)")

# %% [markdown]
# At batch 1 the weight cancels altogether. For small batches divide by a constant: `denominator=batch * Σ π w`. With
# balanced weights Σ π w = 1, and that is the number of rows, `denominator="rows"`, what Keras and TensorFlow do too:

# %%
z32, y32 = tf.constant(rng.normal(size=(32, 2))), tf.constant(batches[0])
theirs = tf.reduce_mean(tf.gather([w0, w1], y32) * tf.nn.sparse_softmax_cross_entropy_with_logits(y32, z32))
same(balanced_loss(z32, y32, denominator=constant), theirs)
same(balanced_loss(z32, y32, denominator="rows"), theirs)
print(sy.explain(balanced_loss, shares))  # says this, and what else the weights do

# Several workers or accumulated micro-batches: add up both sums of all of them, divide once
parts = [balanced_loss.numerator_and_denominator(z32[i : i + 8], y32[i : i + 8]) for i in range(0, 32, 8)]
same(sum(p[0] for p in parts) / sum(p[1] for p in parts), balanced_loss(z32, y32))

# %% [markdown]
# ## Ignoring samples
#
# In TensorFlow a boolean mask over rows; here a label that says so, `ignore_index`, or a mask as `sample_weight`.

# %%
holes = tf.constant([0, -100, 2, -100])
kept = holes != -100
theirs = tf.reduce_mean(
    tf.nn.sparse_softmax_cross_entropy_with_logits(tf.boolean_mask(holes, kept), tf.boolean_mask(logits, kept))
)
ignoring = sy.losses.cross_entropy(ignore_index=-100)
same(ignoring(logits, holes), theirs)
same(ignoring(logits, holes), torch.nn.functional.cross_entropy(tz, torch.tensor([0, -100, 2, -100])))
same(plain(logits, labels, sample_weight=tf.cast(kept, tf.float64)), tf.where(kept, losses, 0))
mean_of_kept = sy.losses.cross_entropy()(logits, labels, sample_weight=tf.cast(kept, tf.float64))
same(mean_of_kept, tf.reduce_mean(tf.boolean_mask(losses, kept)))

# %% [markdown]
# The two differ when an ignored row holds NaN, which padding often does. A mask *multiplies*, and 0 × NaN is NaN; a row
# that is ignored by its label never reaches the arithmetic, nor its gradient. And if a whole batch is ignored, the loss
# is 0 with gradient 0, not 0/0.

# %%
broken = tf.constant([[2.0, 0.5, -1.0], [np.nan] * 3, [0.0, -0.5, 0.4], [np.nan] * 3], tf.float64)
with tf.GradientTape(persistent=True) as tape:
    tape.watch(broken)
    masked = tf.cast(kept, tf.float64) * tf.nn.sparse_softmax_cross_entropy_with_logits(labels, broken)
    ignored = ignoring(broken, holes)
    nothing = ignoring(broken, tf.fill([4], -100))
print(f"NaN in ignored rows: mask × loss {tf.reduce_mean(masked):.3f}, ignore_index {same(ignored, theirs):.3f}")
assert np.isfinite(tape.gradient(ignored, broken)).all()
all_ignored = torch.nn.functional.cross_entropy(tz, torch.full((4,), -100))
print(f"everything ignored:  PyTorch {float(all_ignored):.3f}, Steelyard {float(nothing):.3f}", end=", ")
print("gradient", abs(tape.gradient(nothing, broken).numpy()).max())

# %% [markdown]
# ## Can I switch the strategy while training?
#
# Weights that come in late often do better than weights from the start (Cao et al., NeurIPS 2019, arXiv:1906.07413). A
# Python `if` inside `tf.function` is frozen when the function is traced, and a new loss means a new trace. Here the
# parameters are variables: `assign` writes new numbers, and the graph stays.

# %%
criterion = sy.tensorflow.Loss(sy.losses.cross_entropy(), n_classes=3)
kernel, traces = tf.Variable(tf.zeros((3, 3), tf.float64)), 0


@tf.function
def step(x, y):
    global traces
    traces += 1  # runs when TensorFlow traces, not when it computes
    with tf.GradientTape() as tape:
        value = criterion(x @ kernel, y)
    kernel.assign_sub(0.1 * tape.gradient(value, kernel))
    return value


few = sy.ClassCounts.from_counts([200, 40, 10])
plans = {
    "cross-entropy": sy.losses.cross_entropy(),
    "balanced weights": sy.losses.weighted_cross_entropy(sy.class_weight("balanced", few)),
    "logit adjustment": sy.losses.logit_adjusted(few),
    "focal": sy.losses.focal(gamma=2.0),
}
for name, plan in plans.items():
    criterion.assign(plan)
    before = kernel.numpy()
    value = same(step(logits, labels), plan(logits.numpy() @ before, labels.numpy()))
    print(f"{name:18}{value:8.4f}   traces so far: {traces}")

adjusted = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits + np.log(few.priors))
same(plans["logit adjustment"].replace(reduction="none")(logits, labels), adjusted)
assert traces == 1
print(f"{agreements} results of this page agree with TensorFlow, PyTorch, Keras or arithmetic by hand.")

# %% [markdown]
# ## When weights do not help
#
# - A network that separates its training data forgets them: late in training the weighted and the plain one agree (Byrd
#   and Lipton, ICML 2019, arXiv:1812.03372). Offsets on the logits are not forgotten: `sy.losses.logit_adjusted` (Menon
#   et al., ICLR 2021, arXiv:2007.07314), or after training `sy.decisions.post_hoc_logit_adjustment`.
# - In a deep network, weights from the first step on made the features worse than no weights did, until the learning
#   rate was lowered (Cao et al., NeurIPS 2019, section 3.3): hence weights that come in late, as above.
# - Rankings hardly move, as the AUC above; and probabilities are harmed until they are corrected (Carriero et al. 2024,
#   arXiv:2404.19494).
#
# What helps on *your* data is a question for your data: `steelyard compare data.csv --target y` trains them all on the
# same folds, and "no detectable difference" is one of its answers.
