"""Names are a promise: what there is, under which name, documented and with an example that runs."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module
from typing import Any

import pytest

import steelyard as sy
import steelyard.losses as losses_package

# grows with the library; nothing ever leaves it
PUBLIC = {
    "ClassCounts",
    "class_weight",
    "class_weight_names",
    "compare",
    "decisions",
    "explain",
    "load",
    "losses",
    "strategies",
    "tune",
}

RECIPES = {
    "asymmetric",
    "balanced_softmax",
    "binary_cross_entropy",
    "cdt",
    "class_aware_smoothing",
    "class_balanced",
    "cosen",
    "cost_regularized",
    "cross_entropy",
    "distribution_balanced",
    "equalization",
    "equalization_v2",
    "focal",
    "gcl",
    "ldam",
    "logit_adjusted",
    "outcome_weighted",
    "pairwise_margin",
    "poly1",
    "scaled_logits",
    "seesaw",
    "sigmoid_focal",
    "softmax_margin",
    "two_way",
    "vector_scaling",
    "weighted_cross_entropy",
    "zlpr",
}

SIGNATURES = {
    "SoftmaxCrossEntropy": (
        "class_weight logit_scale logit_offset margin pairwise_offset gamma label_smoothing cost_matrix "
        "cost_coefficient weight_by ignore_index reduction poly_coefficient compensation"
    ),
    "SigmoidCrossEntropy": (
        "pos_weight outcome_weight gamma_pos gamma_neg class_weight ignore_index reduction probability_shift "
        "logit_offset neg_scale label_rarity rebalance_slope rebalance_center rebalance_floor"
    ),
    "asymmetric": "gamma_neg gamma_pos probability_shift settings",
    "distribution_balanced": "counts rows gamma neg_scale kappa rebalance settings",
    "equalization_v2": "positive_gradient negative_gradient alpha gamma mu settings",
    "zlpr": "settings",
    "two_way": "positive_temperature negative_temperature settings",
    "GradientBalance": "n_labels alpha gamma mu",
    "GradientDensity": "bins momentum",
    "gradient_norm": "logits targets class_axis",
    "influence_balanced_weight": "logits targets features counts alpha epsilon",
    "logit_adjusted": "counts tau settings",
    "balanced_softmax": "counts settings",
    "ldam": "counts max_margin scale class_weight settings",
    "cdt": "counts gamma settings",
    "vector_scaling": "counts tau gamma class_weight settings",
    "class_balanced": "counts beta gamma settings",
    "focal": "gamma class_weight settings",
    "scaled_logits": "class_weight settings",
    "weighted_cross_entropy": "class_weight weight_by settings",
    "cross_entropy": "settings",
    "pairwise_margin": "pairwise_offset settings",
    "cosen": "cost_matrix settings",
    "softmax_margin": "cost_matrix settings",
    "binary_cross_entropy": "pos_weight settings",
    "outcome_weighted": "outcome_weight settings",
    "sigmoid_focal": "gamma alpha settings",
}


def test_the_public_door() -> None:
    assert set(sy.__all__) >= PUBLIC
    for name in sy.__all__:
        assert getattr(sy, name) is not None
        assert name in dir(sy)


@pytest.mark.parametrize(
    ("front", "name", "signature"),
    [
        ("sklearn", "ImbalancedClassifier", "strategy model metric positive random_state costs"),
    ],
)
def test_fronts_are_reached_by_name(front: str, name: str, signature: str) -> None:
    assert front in dir(sy)
    thing = getattr(getattr(sy, front), name)
    assert list(inspect.signature(thing).parameters) == signature.split()
    assert ">>> " in (inspect.getdoc(thing) or "")


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'steelyard' has no attribute 'nothing'"):
        sy.nothing  # noqa: B018


def test_recipes() -> None:
    assert set(sy.losses.names()) >= RECIPES
    assert sy.losses.names() == sorted(sy.losses.names())
    for name in sy.losses.names():
        assert name in sy.losses.__all__
        assert isinstance(getattr(sy.losses, name), type(lambda: None))


@pytest.mark.parametrize("name", SIGNATURES)
def test_parameters_keep_their_names_and_order(name: str) -> None:
    parameters = list(inspect.signature(getattr(sy.losses, name)).parameters)
    assert parameters == SIGNATURES[name].split()


def test_the_call_keeps_its_parameters() -> None:
    names = list(inspect.signature(sy.losses.Loss.__call__).parameters)
    assert names[:6] == ["self", "logits", "targets", "sample_weight", "class_weight", "denominator"]


# --- documentation ------------------------------------------------------------------------------------------------


def documented() -> dict[str, Any]:
    """Every public function, class and method of `steelyard.losses`, and of the public door's own classes."""
    found: dict[str, Any] = {}
    for info in pkgutil.iter_modules(losses_package.__path__, "steelyard.losses."):
        module = import_module(info.name)
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if callable(thing) and getattr(thing, "__module__", "") == info.name:
                found[f"{info.name}.{name}"] = thing
    return found


THINGS = documented()
# what a user calls; the rest of the package is internal and needs a docstring, but no example
WITH_EXAMPLE = [k for k, v in THINGS.items() if getattr(sy.losses, k.rpartition(".")[2], None) is v]


def test_there_is_something_to_document() -> None:
    assert len(THINGS) > 30
    assert len(WITH_EXAMPLE) >= len(RECIPES) + 5


@pytest.mark.parametrize("name", THINGS)
def test_has_a_docstring(name: str) -> None:
    text = inspect.getdoc(THINGS[name])
    assert text
    assert text.splitlines()[0].rstrip().endswith((".", ":"))
    if inspect.isclass(THINGS[name]):
        for method, value in vars(THINGS[name]).items():
            if callable(value) and not method.startswith("_"):
                assert inspect.getdoc(value), f"{name}.{method}"


@pytest.mark.parametrize("name", [n for n in WITH_EXAMPLE if not n.endswith(("base.Loss", "registry.get"))])
def test_has_an_example(name: str) -> None:
    text = inspect.getdoc(THINGS[name]) or ""
    assert ">>> " in text


@pytest.mark.parametrize("name", sorted(RECIPES | {"SoftmaxCrossEntropy", "SigmoidCrossEntropy"}))
def test_every_parameter_is_described(name: str) -> None:
    thing = getattr(sy.losses, name)
    text = inspect.getdoc(thing) or ""
    section = text.split("Parameters\n----------\n")[1].split("\n\n")[0]
    for parameter in inspect.signature(thing).parameters.values():
        wanted = f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name
        assert any(
            wanted in (part.strip() for part in line.split(" : ")[0].split(","))
            for line in section.splitlines()
            if not line.startswith(" ")
        ), parameter.name
