import numpy as np
import pandas as pd
import pytest


@pytest.fixture
def mixed():
    """A small table with numbers, categories and holes, and a rare class that all of them say something about."""
    rng = np.random.default_rng(0)
    n = 240
    y = np.where(rng.random(n) < 0.2, "sick", "well")
    sick = y == "sick"
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40 + 12 * sick, 10)),
            "dose": rng.integers(0, 5, n) + sick,
            "sex": rng.choice(["f", "m"], n),
            "site": np.where(rng.random(n) < 0.15, None, rng.choice(["north", "south", "east"], n)),
            "smoker": rng.random(n) < 0.2 + 0.4 * sick,
        }
    )
    return frame, y
