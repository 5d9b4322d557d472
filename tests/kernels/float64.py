"""Training in float64 that shares no code with ours: torch differentiates the published formula."""

import numpy as np
import torch


def tensor(value, shape):
    return torch.tensor(np.broadcast_to(value, shape), dtype=torch.float64)


def loss_by_hand(logits, targets, loss):
    """Return Σ_c ω b_c (1 − q_c)^γ (−log q_c) + λ Σ_j M[y, j] q_j per row, from logits in float64."""
    n, C = logits.shape
    p = loss.parameters
    one_hot = torch.nn.functional.one_hot(targets, C).to(torch.float64)
    a = logits
    if p["logit_scale"] is not None:
        a = a * tensor(p["logit_scale"], C)
    if p["logit_offset"] is not None:
        a = a + tensor(p["logit_offset"], C)
    if p["margin"] is not None:
        a = a - tensor(p["margin"], C) * one_hot
    if p["pairwise_offset"] is not None:
        a = a + tensor(p["pairwise_offset"], (C, C))[targets]
    weight = torch.ones(n, dtype=torch.float64)
    if p["class_weight"] is not None:
        weight = tensor(p["class_weight"], C)[targets]
    log_q = torch.log_softmax(a, 1)
    smoothing, gamma = float(np.max(loss.label_smoothing)), float(loss.gamma)
    terms = -((1 - smoothing) * one_hot + smoothing / C) * log_q
    if gamma:
        terms = terms * (-torch.expm1(log_q)) ** gamma
    out = weight * terms.sum(1)
    if p["cost_matrix"] is not None:
        out = out + (float(loss.cost_coefficient) * tensor(p["cost_matrix"], (C, C))[targets] * log_q.exp()).sum(1)
    return out


def parameters_of(layers):
    return [torch.tensor(part, dtype=torch.float64, requires_grad=True) for layer in layers for part in layer]


def forward(parameters, x, cosine):
    for i in range(0, len(parameters) - 2, 2):
        x = torch.relu(x @ parameters[i] + parameters[i + 1])
    weights, bias = parameters[-2:]
    if cosine:
        return torch.nn.functional.normalize(x, dim=1) @ torch.nn.functional.normalize(weights, dim=0) + 0 * bias
    return x @ weights + bias


def gradient(X, y, loss, layers, denominator, cosine):
    parameters = parameters_of(layers)
    logits = forward(parameters, torch.tensor(X, dtype=torch.float64), cosine)
    (loss_by_hand(logits, torch.tensor(y), loss).sum() / denominator).backward()
    return [p.grad.numpy() for p in parameters]


def train(X, y, stream, layers, schedule, run):
    """Return the parameters after torch.optim.AdamW on a cosine schedule, in float64."""
    parameters = parameters_of(layers)
    x, labels = torch.tensor(X, dtype=torch.float64), torch.tensor(y)
    optimiser = torch.optim.AdamW(parameters, lr=1.0, weight_decay=schedule.weight_decay, eps=1e-8)
    steps, batch = stream.shape
    for t, rows in enumerate(torch.tensor(stream, dtype=torch.int64)):
        loss = run.loss if run.later is None or t < round(run.defer * steps) else run.later
        w = loss.parameters["class_weight"]
        mean = 1.0 if w is None else float(np.mean(np.asarray(w)[y[stream]]))
        optimiser.param_groups[0]["lr"] = schedule.rate * 0.5 * (1 + np.cos(np.pi * t / steps))
        optimiser.zero_grad()
        (loss_by_hand(forward(parameters, x[rows], run.cosine), labels[rows], loss).sum() / (batch * mean)).backward()
        optimiser.step()
    return [p.detach().numpy() for p in parameters]
