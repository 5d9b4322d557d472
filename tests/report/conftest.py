import numpy as np
import pandas as pd
import pytest

import steelyard as sy
from tests.report.synthetic import results


def compared(labels, features=("a", "b"), model="linear", **options):
    rng = np.random.default_rng(0)
    y = rng.choice(len(labels), size=240, p=[0.7, 0.2, 0.1][: len(labels)] if len(labels) == 3 else [0.85, 0.15])
    X = rng.normal(size=(240, 2)) + 0.8 * y[:, None]
    frame = pd.DataFrame({features[0]: X[:, 0], features[1]: X[:, 1], "fixed": 1.0})
    return sy.compare(frame, np.array(labels, dtype=object)[y], model=model, cv=3, repeats=1, **options)


@pytest.fixture(scope="session")
def two():
    return compared(["well", "sick"])


@pytest.fixture(scope="session")
def three():
    return compared(["well", "ill", "dying"], strategies=["balanced", "focal"])


@pytest.fixture(scope="session")
def large():
    """Two classes, three models, nineteen strategies."""
    return results(2, rows=900)


@pytest.fixture(scope="session")
def many():
    """Seven classes."""
    return results(7, models=("linear", "mlp"), rows=900, repeats=2)
