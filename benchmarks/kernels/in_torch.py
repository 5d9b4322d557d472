"""PyTorch: ours fused and by formula, what users write, torch.compile, other libraries; NumPy; the floors."""

import importlib

import numpy as np

from benchmarks.kernels import floors
from benchmarks.kernels.cases import GAMMA, LDAM_SCALE, SMOOTHING, Case, logits_and_targets, loss, numbers
from benchmarks.kernels.selection import NotMeasuredError, Variant, wanted


def composites(case: Case, names):
    """Return what a user writes with torch's own functions, for each loss."""
    import torch
    import torch.nn.functional as F

    p = numbers(case.n_classes)
    dtype = getattr(torch, case.dtype)
    weight, offset, scale, margin = (torch.tensor(v, dtype=dtype) for v in (p.weight, p.offset, p.scale, p.margin))
    column = (-1,) + (1,) * (len(case.shape) - 2)
    wide_offset, wide_scale = offset.reshape(column), scale.reshape(column)

    def weighted(z, y):
        return F.cross_entropy(z, y, weight=weight)

    def focal(z, y):
        ce = F.cross_entropy(z, y, reduction="none")
        return ((1 - torch.exp(-ce)) ** GAMMA * ce).mean()

    def ldam(z, y):
        a = z.scatter_add(1, y.unsqueeze(1), -margin[y].unsqueeze(1))
        return F.cross_entropy(LDAM_SCALE * a, y)

    def everything(z, y):
        a = wide_scale * z + wide_offset
        a = a.scatter_add(1, y.unsqueeze(1), -margin[y].unsqueeze(1))
        log_q = F.log_softmax(a, 1)
        bent = -((1 - log_q.exp()) ** GAMMA) * log_q
        own = bent.gather(1, y.unsqueeze(1)).squeeze(1)
        row = (1 - SMOOTHING) * own + SMOOTHING / z.shape[1] * bent.sum(1)
        w = weight[y]
        return (w * row).sum() / w.sum()

    every = {
        "plain": F.cross_entropy,
        "weighted": weighted,
        "focal": focal,
        "logit-adjusted": lambda z, y: F.cross_entropy(z + wide_offset, y),
        "LDAM": ldam,
        "everything on": everything,
    }
    return {name: every[name] for name in names}


class Step:
    """Forward and gradient of a loss of torch tensors."""

    def __init__(self, function, z, y):
        self.function, self.z, self.y, self.value = function, z, y, None

    def __call__(self):
        self.z.grad = None
        self.value = self.function(self.z, self.y)
        self.value.backward()

    def outcome(self):
        return float(self.value.detach()), float(self.z.grad.detach().double().norm())

    def forget(self):
        self.value = self.z.grad = None


class NumPyStep:
    """Value and gradient of the mean with NumPy arrays."""

    def __init__(self, of, z, y):
        self.of, self.z, self.y, self.result = of, z, y, None

    def __call__(self):
        numerator, denominator = self.of.numerator_and_denominator(self.z, self.y)
        gradient = self.of.gradient(self.z, self.y)
        gradient /= denominator
        self.result = numerator / denominator, gradient

    def outcome(self):
        value, gradient = self.result
        return float(value), float(np.linalg.norm(gradient.ravel().astype(np.float64)))

    def forget(self):
        self.result = None


def peers(case: Case, y):
    """Return the losses of other libraries: (loss, library, function, whether it is the same formula)."""
    import torch

    p = numbers(case.n_classes)
    out = []

    def library(name, package, entries):
        try:
            module = importlib.import_module(package)
        except ImportError:
            out.append(("focal", name, NotMeasuredError("not installed"), True))
        except RuntimeError as error:
            # a torchvision that is built for CUDA does not load beside torch for CPUs
            out.append(("focal", name, NotMeasuredError(f"does not load: {error}"), True))
        else:
            out.extend((of, name, function, same) for of, function, same in entries(module))

    def imbalanced_losses(module):
        return [("focal", module.SoftmaxFocalLoss(gamma=GAMMA), True)]

    def balanced_loss(module):
        if len(case.shape) > 2:
            return [("focal", NotMeasuredError("takes (batch, n_classes) only"), True)]
        # its focal loss is one sigmoid per class
        focal = module.Loss("focal_loss", fl_gamma=GAMMA)
        settings = {"samples_per_class": p.counts, "beta": 0.9999, "class_balanced": True}
        return [("focal", focal, False), ("weighted", module.Loss("cross_entropy", **settings), False)]

    def torchvision(module):
        onehot = torch.nn.functional.one_hot(y, case.n_classes).movedim(-1, 1).to(getattr(torch, case.dtype))
        ops = module.ops
        return [("focal", lambda z, _: ops.sigmoid_focal_loss(z, onehot, alpha=-1, reduction="mean"), False)]

    library("imbalanced-losses", "imbalanced_losses", imbalanced_losses)
    library("balanced-loss", "balanced_loss", balanced_loss)
    library("torchvision", "torchvision", torchvision)
    return out


class Warm:
    """The kernel alone, into a gradient that is there: no framework, no fresh memory."""

    def __init__(self, of, z, y):
        import torch

        from steelyard import kernels

        classes = (z.shape[1],)

        def table(name):
            value = of.parameters[name]
            return None if value is None else np.broadcast_to(np.asarray(value, float), classes).copy()

        names = ("class_weight", "logit_scale", "logit_offset", "margin", "label_smoothing")
        tables = {name: table(name) for name in names}
        gamma = float(of.parameters["gamma"] or 0.0)
        plan = kernels.native().Plan(False, kernels.available().instructions, z.shape[1], gamma=gamma, **tables)
        self.plan, self.z, self.y, self.gradient = plan, z.detach(), y, torch.zeros_like(z.detach())
        positions = z[0, 0].numel()
        dtype = {torch.float32: 0, torch.float64: 1, torch.bfloat16: 2, torch.float16: 3}[z.dtype]
        rows = (dtype, z.shape[0], positions, z.shape[1] * positions, positions, 1)
        addresses = (self.z.data_ptr(), self.gradient.data_ptr(), y.data_ptr())
        by_weight, int64 = 1, 0
        self.arguments = (*rows, *addresses, int64, 0, 0, 0, by_weight, 1.0, 1.0, 0, 0, torch.get_num_threads())

    def __call__(self):
        self.result = self.plan.run(*self.arguments)

    def outcome(self):
        _, loss, weight, *_ = self.result
        return loss / weight, float(self.gradient.double().norm())


def limits(case: Case, z):
    """Return what no loss can be faster than: the same bytes read and written, with an exponential in between."""
    import torch

    target = torch.empty_like(z)
    plain = z.detach()

    def made():
        return floors.calls(plain, target, case.dtype, torch.get_num_threads())

    leaf = z.detach().clone().requires_grad_() if case.size < 1e6 else None
    out = [Variant.of("plain", name, lambda name=name: made()[name]) for name in ("copy", "exp-copy")]
    if leaf is not None:

        def alone():
            leaf.grad = None
            leaf.sum().backward()

        out.append(Variant("plain", "autograd alone", alone))
    return out


def variants(case: Case, selection):
    """Return everything that this process measures for a case."""
    import torch

    import steelyard as sy

    array, targets = logits_and_targets(case)
    z = torch.tensor(array).to(getattr(torch, case.dtype)).requires_grad_()
    y = torch.tensor(targets)
    out = limits(case, z)
    ours = {name: loss(name, case.n_classes) for name in selection.losses}
    written = composites(case, selection.losses)
    # a compiled graph per loss and shape, as a training run of one loss has it: no recompilation limit between them
    torch._dynamo.reset()

    def add(of, name, make, same=True):
        if wanted(selection, of, name):
            out.append(Variant.of(of, name, make, same))

    for of in selection.losses:
        add(of, "ours", lambda of=of: Step(sy.torch.Loss(ours[of], kernel="fused"), z, y))
        add(of, "ours, formula", lambda of=of: Step(sy.torch.Loss(ours[of], kernel="formula"), z, y))
        add(of, "ours, warm", lambda of=of: Warm(ours[of], z, y))
        add(of, "torch eager", lambda of=of: Step(written[of], z, y))
        add(of, "torch.compile", lambda of=of: Step(torch.compile(written[of], dynamic=False), z, y))
        if case.dtype == "float32":
            add(of, "ours, NumPy", lambda of=of: NumPyStep(ours[of], array, targets))
    for of, name, function, same in peers(case, y):
        if of in selection.losses:
            make = (lambda f=function: Step(f, z, y)) if callable(function) else (lambda f=function: f)
            add(of, name, make, same)
    return out


def set_threads(threads):
    import torch

    torch.set_num_threads(threads)


def training_steps(n_classes, names):
    """Return one training step per loss, and the same step with the sum of the logits in its place.

    The network is 32-64-C on batches of 256; the optimiser is SGD. What a loss costs in training is the difference:
    the tensors, the graph and the call of its own, beside those that a step has anyway.
    """
    import torch

    import steelyard as sy

    case = Case((256, n_classes), "float32")
    torch.manual_seed(0)
    x, y = torch.randn(256, 32), torch.randint(n_classes, (256,))

    def step(function):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, n_classes))
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

        def run():
            optimizer.zero_grad()
            function(model(x), y).backward()
            optimizer.step()

        return run

    out = [Variant("plain", "no loss: sum of the logits", step(lambda z, _: z.sum()))]
    written = composites(case, names)
    for of in names:
        point = loss(of, n_classes)
        out.append(Variant.of(of, "ours", lambda point=point: step(sy.torch.Loss(point, kernel="fused"))))
        out.append(Variant.of(of, "ours, formula", lambda point=point: step(sy.torch.Loss(point, kernel="formula"))))
        out.append(Variant.of(of, "torch eager", lambda of=of: step(written[of])))
    return out
