"""The winner as code to paste: the numbers of this table in one's own scikit-learn, Keras, PyTorch or booster code.

Every piece runs as it stands where `X`, `y` and `X_new` are there. Labels enter as Python literals (`repr`), never as
text of the code, so that none can end a string or a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steelyard.report.recipe import Recipe, weights_of

__all__ = ["Snippet", "snippets"]

_WIDTH = 88  # of a line of numbers
_TREES = 100
_SAMPLERS = {
    "random_over": ("imblearn.over_sampling", "RandomOverSampler"),
    "random_under": ("imblearn.under_sampling", "RandomUnderSampler"),
    "smote": ("imblearn.over_sampling", "SMOTE"),
}


@dataclass(frozen=True)
class Snippet:
    """Code for one framework.

    Attributes
    ----------
    name : str
        Of the framework, as people write it.
    needs : str
        What to install beside NumPy.
    code : str
        Python; empty where the framework cannot do it.
    note : str
        What to know; with empty code, why there is none.
    """

    name: str
    needs: str
    code: str
    note: str = ""


def snippets(recipe: Recipe) -> list[Snippet]:
    """Return code for each framework.

    Parameters
    ----------
    recipe : Recipe

    Returns
    -------
    list of Snippet
    """
    return [make(recipe) for make in (_sklearn, _torch, _keras, _lightgbm, _xgboost)]


def listed(name: str, values: Sequence[Any], shape: str = "[{}]") -> str:
    """Return an assignment of a list, broken into lines where it is long.

    Examples
    --------
    >>> print(listed("w", [1.0, 2.5]))
    w = [1.0, 2.5]
    """
    one = f"{name} = " + shape.format(", ".join(map(repr, values)))
    if len(one) <= _WIDTH:
        return one
    lines, line = [], "   "
    for text in (f" {value!r}," for value in values):
        if len(line) > 3 and len(line) + len(text) > _WIDTH:
            lines.append(line)
            line = "   "
        line += text
    return f"{name} = " + shape.format("\n" + "\n".join([*lines, line]) + "\n")


def _start(recipe: Recipe, *imports: str) -> list[str]:
    """Return all imports, how labels become numbers, and how rows are drawn anew."""
    sampler = _SAMPLERS.get(recipe.resampled or "")
    lines = [
        "# you have: X, numbers (rows, features), and y, labels, to train on; X_new, rows to label",
        "import numpy as np",
        *imports,
        *([] if sampler is None else ["from {} import {}".format(*sampler)]),
        "",
        listed("classes", recipe.classes) + "  # the order of all numbers below",
        "index = {label: k for k, label in enumerate(classes)}",
        "targets = np.array([index[label] for label in y])",
    ]
    if sampler is not None:
        lines += [
            "",
            "# only the rows to train on: resampling before test rows are split off makes scores that mean nothing",
            f"X, targets = {sampler[1]}(random_state=0).fit_resample(X, targets)",
        ]
    return lines


def _weights(recipe: Recipe) -> list[str]:
    lines = []
    if recipe.point.sampler == "balanced_batches":
        lines.append("# weights that do, on average, what batches with equal shares of the classes do")
    return [*lines, listed("class_weight", recipe.class_weight or [])]


def _loss(recipe: Recipe, name: str, loss: Any) -> list[str]:
    """Return a loss with all its numbers."""
    given = [f"    {key}={value!r}," for key, value in recipe.parameters(loss).items()]
    if not given:
        return [f"{name} = sy.losses.SoftmaxCrossEntropy()"]
    return [f"{name} = sy.losses.SoftmaxCrossEntropy(", *given, ")"]


def _own_posterior(recipe: Recipe) -> list[str]:
    """Return how p, as the model was trained, becomes probabilities at the class shares of the table."""
    if recipe.resampled:
        return [
            "# the model has seen equal shares of the classes: back to those of the table",
            listed("shares", [round(float(v), 6) for v in recipe.point.priors]),
            "p = p * shares / (p * shares).sum(1, keepdims=True)",
        ]
    if recipe.class_weight is not None and not recipe.plain:
        return [
            "# the model states the probabilities of a weighted population: back to those of the table",
            "p = p / class_weight / (p / class_weight).sum(1, keepdims=True)",
        ]
    return []


def _decide(recipe: Recipe, own: str) -> list[str]:
    """Return how p becomes labels. `own`: what the model's own arg max is taken of, before p was corrected."""
    labels = "labels = [classes[k] for k in {}]"
    if recipe.rule is None:
        if recipe.point.decision == "argmax":
            return [labels.format(f"{own}.argmax(1)")]
        tau = 1.0 if recipe.point.decision == "prior_threshold" else recipe.point.tau
        shares = listed("shares", [float(f"{v:.6g}") for v in recipe.point.priors])
        power = "" if tau == 1.0 else f" ** {tau!r}"
        return [shares, labels.format(f"(p / np.array(shares){power}).argmax(1)")]
    kind = recipe.rule["rule"]
    about = f"# the decision that was best for {recipe.fitted_for} on rows that the model had not seen"
    if kind == "threshold":
        k = recipe.rule["positive"]
        t = float(f"{recipe.rule['threshold']:.6g}")
        return [about, f"threshold = {t!r}", labels.format(f"np.where(p[:, {k}] >= threshold, {k}, {1 - k})")]
    factors = listed("factors", weights_of(recipe.rule))
    if recipe.rule.get("costs") is None:
        return [about, factors, labels.format("(p * factors).argmax(1)")]
    costs = listed("costs", recipe.rule["costs"], "np.array([{}])")
    return [about, factors, costs, labels.format("(p * factors @ costs).argmin(1)")]


def _code(*parts: Sequence[str]) -> str:
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _sklearn(recipe: Recipe) -> Snippet:
    if recipe.class_weight is None:
        return Snippet(
            "scikit-learn",
            "",
            "",
            "its classifiers take class weights, but no other loss. The trained winner is one of them.",
        )
    weighted = "" if recipe.plain or recipe.resampled else "class_weight=dict(enumerate(class_weight)), "
    body = [
        *(_weights(recipe) if weighted else []),
        f"model = LogisticRegression({weighted}max_iter=1000)  # or any other classifier",
        "model.fit(X, targets)",
        "p = raw = model.predict_proba(X_new)",
        *_own_posterior(recipe),
    ]
    start = _start(recipe, "from sklearn.linear_model import LogisticRegression")
    return Snippet("scikit-learn", "scikit-learn" + _more(recipe), _code(start, body, _decide(recipe, "raw")))


def _more(recipe: Recipe) -> str:
    return " imbalanced-learn" if recipe.resampled else ""


def _plainly(recipe: Recipe) -> bool:
    """Whether weights are all there is, so that no loss of ours is needed."""
    return recipe.class_weight is not None


def _torch(recipe: Recipe) -> Snippet:
    c = recipe.n_classes
    last = f"torch.nn.Linear(64, {c})"
    head: list[str] = []
    if recipe.point.cosine:
        head = [
            "class Cosine(torch.nn.Linear):  # the loss is made for cosines; it scales them itself",
            "    def forward(self, hidden):",
            "        unit = torch.nn.functional.normalize",
            "        return unit(hidden) @ unit(self.weight).T",
            "",
        ]
        last = f"Cosine(64, {c}, bias=False)"
    if _plainly(recipe):
        weighted = not recipe.plain and not recipe.resampled
        loss = _weights(recipe) if weighted else []
        criterion = f"torch.nn.CrossEntropyLoss({'weight=torch.tensor(class_weight)' if weighted else ''})"
        after = ["p = raw = logits.softmax(1).double().numpy()", *_own_posterior(recipe)]
        own, imports = "raw", ["import torch"]
    else:
        loss = _loss(recipe, "loss", recipe.point.loss)
        criterion = f"sy.torch.Loss(loss, {c})"
        final = "loss"
        if recipe.point.later is not None:
            loss += _loss(recipe, "later", recipe.point.later)
            # the module is built for what the later loss needs; the first is put into it before training
            criterion, final = f"sy.torch.Loss(later, {c})", "later"
        after = [f"raw = logits.double().numpy()\np = {final}.posterior(raw)  # corrected for what the loss did"]
        own, imports = "raw", ["import torch", "import steelyard as sy"]
    switch = []
    start = ["epochs = 30"]
    if recipe.point.later is not None:
        start = ["criterion.assign(loss)", "epochs = 30"]
        switch = [f"    if epoch == round({recipe.point.defer!r} * epochs):", "        criterion.assign(later)"]
    train = [
        *head,
        "model = torch.nn.Sequential(  # or your own: logits come out, no softmax",
        f"    torch.nn.Linear(X.shape[1], 64), torch.nn.ReLU(), {last}",
        ")",
        f"criterion = {criterion}",
        "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)",
        "inputs, goal = torch.as_tensor(X, dtype=torch.float32), torch.as_tensor(targets)",
        *start,
        "for epoch in range(epochs):",
        *switch,
        "    for rows in torch.randperm(len(goal)).split(256):",
        "        optimizer.zero_grad()",
        "        criterion(model(inputs[rows]), goal[rows]).backward()",
        "        optimizer.step()",
    ]
    apply = ["with torch.no_grad():", "    logits = model(torch.as_tensor(X_new, dtype=torch.float32))", *after]
    needs = "torch" + ("" if _plainly(recipe) else " steelyard") + _more(recipe)
    return Snippet(
        "PyTorch", needs, _code(_start(recipe, *imports), loss, train, apply, _decide(recipe, own)), _scaled()
    )


def _scaled() -> str:
    return "Networks want features of about one size: standardise X and X_new with the mean and deviation of X."


def _keras(recipe: Recipe) -> Snippet:
    c = recipe.n_classes
    layers = ["    keras.Input((X.shape[1],)),", '    keras.layers.Dense(64, activation="relu"),']
    if recipe.point.cosine:
        layers += [
            "    keras.layers.UnitNormalization(),  # cosines: the loss scales them itself",
            f"    keras.layers.Dense({c}, use_bias=False, kernel_constraint=keras.constraints.UnitNorm(axis=0)),",
        ]
    else:
        layers.append(f"    keras.layers.Dense({c}),  # logits: no softmax")
    model = ["model = keras.Sequential([  # or your own", *layers, "])"]
    raw = "raw = np.asarray(model.predict(np.asarray(X_new), verbose=0), np.float64)"
    if _plainly(recipe):
        weighted = not recipe.plain and not recipe.resampled
        loss = _weights(recipe) if weighted else []
        extra = ", class_weight=dict(enumerate(class_weight))" if weighted else ""
        train = [
            'model.compile(optimizer="adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))',
            f"model.fit(np.asarray(X), targets, epochs=30, batch_size=256, verbose=0{extra})",
        ]
        after = [raw, "p = np.exp(raw - raw.max(1, keepdims=True))", "p = p / p.sum(1, keepdims=True)"]
        after += _own_posterior(recipe)
        imports = ["import keras"]
    else:
        loss = _loss(recipe, "loss", recipe.point.loss)
        final, first = "loss", "30"
        later: list[str] = []
        if recipe.point.later is not None:
            loss += _loss(recipe, "later", recipe.point.later)
            final, first = "later", str(round(30 * recipe.point.defer))
            later = [
                'model.compile(optimizer="adam", loss=sy.keras.Loss(later))  # the last part of training',
                f"model.fit(np.asarray(X), targets, epochs={30 - int(first)}, batch_size=256, verbose=0)",
            ]
        train = [
            'model.compile(optimizer="adam", loss=sy.keras.Loss(loss))',
            f"model.fit(np.asarray(X), targets, epochs={first}, batch_size=256, verbose=0)",
            *later,
        ]
        after = [raw, f"p = {final}.posterior(raw)  # corrected for what the loss did"]
        imports = ["import keras", "import steelyard as sy"]
    needs = "keras" + ("" if _plainly(recipe) else " steelyard") + _more(recipe)
    parts = (_start(recipe, *imports), loss, [*model, *train], after, _decide(recipe, "raw"))
    return Snippet("Keras", needs, _code(*parts), _scaled())


def _lightgbm(recipe: Recipe) -> Snippet:
    if _plainly(recipe):
        return _boosted(recipe, "LightGBM", "lightgbm", "LGBMClassifier(verbose=-1)")
    more = "" if recipe.n_classes == 2 else f', "num_class": {recipe.n_classes}'
    return _on_objective(
        recipe,
        "LightGBM",
        "lightgbm",
        "lightgbm scipy steelyard",
        [
            "rows = lightgbm.Dataset(X, targets, init_score=objective.start(counts, len(targets)))",
            f'booster = lightgbm.train({{"objective": objective, "verbose": -1{more}}}, rows, {_TREES})',
            "scores = booster.predict(X_new, raw_score=True) + objective.initial_score(counts)",
        ],
    )


def _xgboost(recipe: Recipe) -> Snippet:
    if _plainly(recipe):
        return _boosted(recipe, "XGBoost", "xgboost", "XGBClassifier()")
    more = "" if recipe.n_classes == 2 else f', "num_class": {recipe.n_classes}'
    return _on_objective(
        recipe,
        "XGBoost",
        "xgboost",
        "xgboost steelyard",
        [
            "rows = xgboost.DMatrix(X, targets, base_margin=objective.start(counts, len(targets)))",
            f'booster = xgboost.train({{"base_score": 0{more}}}, rows, {_TREES}, obj=objective)',
            "new = xgboost.DMatrix(X_new, base_margin=objective.start(counts, len(X_new)))",
            "scores = booster.predict(new, output_margin=True)",
        ],
    )


def _on_objective(recipe: Recipe, name: str, module: str, needs: str, train: Sequence[str]) -> Snippet:
    """Return code for a booster on a loss of ours. `train`: from `objective` and `counts` to raw `scores`."""
    point = recipe.point.without_cosine()
    loss = _loss(recipe, "loss", point.loss)
    deferred = ""
    if point.later is not None:
        loss += _loss(recipe, "later", point.later)
        deferred = f", later=later, after={round(point.defer * _TREES)}"
    c = recipe.n_classes
    body = [
        *loss,
        f"objective = sy.boosting.{module}(loss, n_classes={c}{deferred})",
        f"counts = np.bincount(targets, minlength={c})",
        *train,
        "raw = objective.logits(scores)",
        "p = objective.posterior(scores)  # corrected for what the loss did",
    ]
    start = _start(recipe, f"import {module}", "import steelyard as sy")
    return Snippet(name, needs + _more(recipe), _code(start, body, _decide(recipe, "raw")))


def _boosted(recipe: Recipe, name: str, module: str, model: str) -> Snippet:
    weighted = not recipe.plain and not recipe.resampled
    extra = ", sample_weight=np.array(class_weight)[targets]" if weighted else ""
    body = [
        *(_weights(recipe) if weighted else []),
        f"model = {module}.{model}",
        f"model.fit(X, targets{extra})",
        "p = raw = model.predict_proba(X_new)",
        *_own_posterior(recipe),
    ]
    needs = f"{module} scikit-learn{_more(recipe)}"
    return Snippet(name, needs, _code(_start(recipe, f"import {module}"), body, _decide(recipe, "raw")))
