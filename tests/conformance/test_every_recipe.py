"""Every recipe × dtype × target form × reduction against the float64 reference, values and gradients.

The full product in NumPy and torch; in TensorFlow and JAX a covering in which every two levels meet.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.comparison import check
from tests.conformance.covering import all_pairs
from tests.conformance.frameworks import DTYPES, rounded
from tests.conformance.recipes import ROWS, all_recipes, logits, target_forms, targets
from tests.losses.reference import Expected, expected

RECIPES = sorted(all_recipes())
REDUCTIONS = ("none", "sum", "mean")
FORMS = ("integer", "one-hot", "soft")
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.0, 3.0, 0.25])


@cache
def reference(recipe: str, form: str, dtype: str) -> Expected:
    loss = all_recipes()[recipe]
    return expected(loss.to_dict(), rounded(logits(), dtype), targets(loss, form))


def run(framework: str, recipe: str, dtype: str, form: str, reduction: str, **options: Any) -> None:
    loss = all_recipes()[recipe]
    if form not in target_forms(loss):
        form = "soft"
    check(
        framework,
        loss.replace(reduction=reduction),
        logits(),
        targets(loss, form),
        dtype,
        want=reference(recipe, form, dtype),
        **options,
    )


@pytest.mark.parametrize("framework", ["numpy", "torch"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_full_product(framework: str, recipe: str) -> None:
    for dtype, form, reduction in product(DTYPES, target_forms(all_recipes()[recipe]), REDUCTIONS):
        run(framework, recipe, dtype, form, reduction)


COVERING = all_pairs(
    {
        "recipe": RECIPES,
        "dtype": DTYPES,
        "form": FORMS,
        "reduction": REDUCTIONS,
        "weighted": (False, True),
        "compiled": (False, True),
    },
    seed=0,
)


@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
@pytest.mark.parametrize("case", COVERING, ids=lambda c: "-".join(str(v) for v in c.values()))
def test_covering(framework: str, case: dict[str, Any]) -> None:
    case = dict(case)
    weighted = case.pop("weighted")
    loss = all_recipes()[case["recipe"]]
    s = np.outer(WEIGHTS, np.ones(4)) if loss.entrywise else WEIGHTS
    # rows that are compared with each other: their weights have a test of their own (losses/test_label_ranking)
    alone = not isinstance(loss, sy.losses.TwoWay)
    run(framework, sample_weight=s if weighted and alone else None, **case)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["tensorflow", "jax"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_full_product_of_the_others(framework: str, recipe: str) -> None:
    for dtype, form, reduction in product(DTYPES, target_forms(all_recipes()[recipe]), REDUCTIONS):
        run(framework, recipe, dtype, form, reduction)


def test_sample_weights_and_rows_are_as_many() -> None:
    assert len(WEIGHTS) == ROWS
