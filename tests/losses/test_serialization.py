"""to_dict / from_dict for every recipe, and what JSON from a stranger may not do."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

import steelyard as sy
from tests.conformance.recipes import all_recipes, logits, targets


@pytest.mark.parametrize("recipe", sorted(all_recipes()))
def test_every_recipe_goes_to_json_and_back(recipe: str) -> None:
    loss = all_recipes()[recipe].replace(reduction="sum", ignore_index=3)
    back = sy.losses.from_dict(json.loads(json.dumps(loss.to_dict())))
    assert back == loss
    assert pickle.loads(pickle.dumps(loss)) == loss
    y = targets(loss, "integer")
    assert float(back(logits(), y)) == float(loss(logits(), y))


def test_only_what_differs_from_the_default_is_written() -> None:
    assert sy.losses.cross_entropy().to_dict() == {"loss": "SoftmaxCrossEntropy"}
    assert sy.losses.focal(2.0, reduction="sum").to_dict() == {
        "loss": "SoftmaxCrossEntropy",
        "gamma": 2.0,
        "reduction": "sum",
    }
    assert sy.losses.binary_cross_entropy(3.0).to_dict() == {"loss": "SigmoidCrossEntropy", "pos_weight": 3.0}


def test_from_dict_does_not_change_its_argument() -> None:
    data = {"loss": "SoftmaxCrossEntropy", "gamma": 2.0}
    sy.losses.from_dict(data)
    assert data == {"loss": "SoftmaxCrossEntropy", "gamma": 2.0}


def test_unknown_keys_and_families() -> None:
    with pytest.raises(sy.errors.InputError, match=r"parameters of SoftmaxCrossEntropy; got 'gama'.*'gamma'"):
        sy.losses.from_dict({"loss": "SoftmaxCrossEntropy", "gama": 2.0})
    with pytest.raises(sy.errors.InputError, match=r"'loss' in .*got 'SoftmaxCrossEntrop'.*'SoftmaxCrossEntropy'"):
        sy.losses.from_dict({"loss": "SoftmaxCrossEntrop"})
    with pytest.raises(sy.errors.InputError, match="'loss' in"):
        sy.losses.from_dict({"gamma": 2.0})
    for hostile in ("__class__", "_set", "parameters"):
        with pytest.raises(sy.errors.InputError, match="parameters of"):
            sy.losses.from_dict({"loss": "SoftmaxCrossEntropy", hostile: 1})


def test_equality_is_by_numbers() -> None:
    assert sy.losses.focal(2.0) == sy.losses.focal(gamma=2)
    assert sy.losses.focal(2.0) != sy.losses.focal(2.5)
    assert sy.losses.focal(0.0) == sy.losses.cross_entropy()
    assert sy.losses.cross_entropy() != sy.losses.binary_cross_entropy()
    assert len({sy.losses.focal(2.0), sy.losses.focal(2.0), sy.losses.focal(1.0)}) == 2


def test_tensors_as_parameters_are_written_as_numbers() -> None:
    import torch

    loss = sy.losses.weighted_cross_entropy(torch.tensor([1.0, 2.0]))
    assert loss.to_dict()["class_weight"] == [1.0, 2.0]
    assert sy.losses.from_dict(loss.to_dict()) == sy.losses.weighted_cross_entropy([1.0, 2.0])


def test_weights_as_a_dict() -> None:
    loss = sy.losses.weighted_cross_entropy({1: 5.0, 0: 1.0})
    assert loss.class_weight.tolist() == [1.0, 5.0]


def test_repr_can_be_read_back() -> None:
    loss = sy.losses.focal(2.0, class_weight=[1.0, 2.0], ignore_index=-1)
    assert repr(loss) == "SoftmaxCrossEntropy(class_weight=[1.0, 2.0], gamma=2.0, ignore_index=-1)"
    long = sy.losses.logit_adjusted(np.arange(1, 101))
    assert repr(long) == "SoftmaxCrossEntropy(logit_offset=<100>)"
