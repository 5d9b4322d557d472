"""What must be settled before a framework is imported, and the warnings of third parties that are not ours."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

_SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "CUDA_VISIBLE_DEVICES": "",  # results on the CPU are the same everywhere
    # arrays here are tiny: threads only cost, most of all when several workers share few cores
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
}
for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)

# tests import each other's references as `tests.…`; pytest's importlib mode does not touch sys.path
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

_THIRD_PARTY_WARNINGS: tuple[str, ...] = ()


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import settings

    # the same examples on every run and every machine: a failure in CI can be repeated
    settings.register_profile("steelyard", derandomize=True, deadline=None, max_examples=80, database=None)
    settings.load_profile("steelyard")
    for line in _THIRD_PARTY_WARNINGS:
        config.addinivalue_line("filterwarnings", line)
