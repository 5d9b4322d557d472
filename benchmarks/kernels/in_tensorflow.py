"""TensorFlow, as a graph and compiled by XLA: what users write, Keras' losses, and ours, which XLA compiles."""

import numpy as np

from benchmarks.kernels.cases import GAMMA, LDAM_SCALE, SMOOTHING, Case, logits_and_targets, loss, numbers
from benchmarks.kernels.selection import Variant, wanted


def composites(case: Case, names):
    """Return what a user writes with tf.nn, for each loss; the classes are on the last axis, as TensorFlow has them."""
    import tensorflow as tf

    p = numbers(case.n_classes)
    dtype = tf.as_dtype(case.dtype)
    weight, offset, scale, margin = (tf.constant(v, dtype) for v in (p.weight, p.offset, p.scale, p.margin))

    def rows(z, y):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=z)

    def averaged(values, y):
        w = tf.gather(weight, y)
        return tf.reduce_sum(w * values) / tf.reduce_sum(w)

    def focal(z, y):
        ce = rows(z, y)
        return tf.reduce_mean((1 - tf.exp(-ce)) ** GAMMA * ce)

    def lowered(z, y):
        return z - tf.gather(margin, y)[..., None] * tf.one_hot(y, case.n_classes, dtype=dtype)

    def everything(z, y):
        log_q = tf.nn.log_softmax(lowered(scale * z + offset, y))
        bent = -((1 - tf.exp(log_q)) ** GAMMA) * log_q
        own = tf.gather(bent, y, axis=-1, batch_dims=len(y.shape))
        return averaged((1 - SMOOTHING) * own + SMOOTHING / case.n_classes * tf.reduce_sum(bent, -1), y)

    every = {
        "plain": lambda z, y: tf.reduce_mean(rows(z, y)),
        "weighted": lambda z, y: averaged(rows(z, y), y),
        "focal": focal,
        "logit-adjusted": lambda z, y: tf.reduce_mean(rows(z + offset, y)),
        "LDAM": lambda z, y: tf.reduce_mean(rows(LDAM_SCALE * lowered(z, y), y)),
        "everything on": everything,
    }
    return {name: every[name] for name in names}


def keras_losses(case: Case, y):
    """Return Keras' own losses as functions of (logits, targets); its means are over the batch, not Σ s·ω."""
    import keras
    import tensorflow as tf

    p = numbers(case.n_classes)
    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = tf.constant(p.weight[y.numpy()], "float32")
    focal = keras.losses.CategoricalFocalCrossentropy(gamma=GAMMA, alpha=1.0, from_logits=True)
    return {
        "plain": (lambda z, y: plain(y, z), True),
        "weighted": (lambda z, y: plain(y, z, sample_weight=weights), False),
        "focal": (lambda z, y: focal(tf.one_hot(y, case.n_classes), z), True),
    }


class Step:
    """Value and gradient in a tf.function."""

    def __init__(self, function, z, y, compiled):
        import tensorflow as tf

        @tf.function(jit_compile=compiled)
        def step(z, y):
            with tf.GradientTape() as tape:
                tape.watch(z)
                value = function(z, y)
            return value, tape.gradient(value, z)

        self.step, self.z, self.y, self.result = step, z, y, None

    def __call__(self):
        self.result = self.step(self.z, self.y)
        self.result[0].numpy()

    def outcome(self):
        value, gradient = self.result
        return float(value), float(np.linalg.norm(gradient.numpy().astype(np.float64).ravel()))

    def forget(self):
        self.result = None


def variants(case: Case, selection):
    """Return everything that this process measures for a case."""
    import tensorflow as tf

    import steelyard as sy

    array, targets = logits_and_targets(case)
    array, targets = np.ascontiguousarray(np.moveaxis(array, 1, -1)), targets.astype(np.int32)
    z, y = tf.cast(tf.constant(array), case.dtype), tf.constant(targets)
    del array
    written = composites(case, selection.losses)
    out = []

    def add(of, name, function, compiled, same=True):
        if wanted(selection, of, name):
            out.append(Variant.of(of, name, lambda: Step(function, z, y, compiled), same))

    keras = keras_losses(case, y) if case.dtype == "float32" else {}
    for of in selection.losses:
        point = sy.tensorflow.Loss(loss(of, case.n_classes))
        add(of, "ours, TensorFlow XLA", point, True)
        add(of, "TensorFlow", written[of], False)
        add(of, "TensorFlow XLA", written[of], True)
        if of in keras:
            add(of, "Keras", keras[of][0], True, keras[of][1])
    return out


def set_threads(threads):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
