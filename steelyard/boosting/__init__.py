"""Boosting libraries: objectives from losses, with gradient, positive curvature, initial score and posterior."""

from __future__ import annotations

from steelyard.boosting.in_catboost import CatBoost, catboost
from steelyard.boosting.in_lightgbm import LightGBM, lightgbm
from steelyard.boosting.in_xgboost import XGBoost, xgboost
from steelyard.boosting.objective import Objective
from steelyard.boosting.own_objective import weights_and_offsets

__all__ = ["CatBoost", "LightGBM", "Objective", "XGBoost", "catboost", "lightgbm", "weights_and_offsets", "xgboost"]
