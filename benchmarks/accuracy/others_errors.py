"""What other libraries get wrong on imbalanced data, what Steelyard gives, and the exact value, on the same numbers.

    python benchmarks/accuracy/others_errors.py                 # writes the guide and results/others_errors.json
    pip install --no-deps --target DIR torchvision monai libauc imbalance-xgboost balanced-loss
    python benchmarks/accuracy/others_errors.py --peers DIR     # with libraries that are not installed here

A case whose library is missing keeps the figures of the version that it was last run with. Where a library has mended
an error meanwhile, its figure says so: nothing here is expected to be wrong but by being run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import textwrap
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from others import losses, training  # noqa: F401  their cases register themselves
from others.cases import CASES, ITEMS, Case

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "others_errors.json"
PAGE = HERE.parent.parent / "docs" / "guides" / "what_other_libraries_get_wrong.md"


def installed(one: Case) -> str | None:
    """Return the version of a case's package, None where there is none."""
    for name in (one.package, f"{one.package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def measured(one: Case) -> dict[str, Any]:
    """Run a case."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        rows = one.measure()
    return {
        "package": one.package,
        "version": installed(one),
        "rows": [dict(zip(("what", "theirs", "ours", "exact"), map(_json, row), strict=True)) for row in rows],
    }


def _json(value: float | str | None) -> float | str | None:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def stored() -> dict[str, Any]:
    """Return the results of the last run."""
    return dict(json.loads(RESULTS.read_text(encoding="utf-8"))) if RESULTS.exists() else {}


def figure(value: float | str | None) -> str:
    if value is None:
        return "—"
    if isinstance(value, str):
        return value
    return "0" if value == 0 else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.3e}"


_WHOLE: Any = {"break_on_hyphens": False, "break_long_words": False}
OPENING = """# What other libraries get wrong

Losses for imbalanced data are easy to write and hard to get right. Each case below runs another library and Steelyard
on the same numbers, beside the exact value, in float64 or by hand. Written by
[benchmarks/accuracy/others_errors.py](../../benchmarks/accuracy/others_errors.py), which a test runs again; where a
library mends an error, its column will say so.

The first of them, to try:

```python
>>> import numpy as np, steelyard as sy
>>> z = np.array([[2.0, -1.0], [0.5, 0.0], [1.5, 0.3], [-0.2, 0.4], [1.0, 3.0], [3.0, 0.0]])
>>> y, w = np.array([0, 0, 0, 0, 1, 1]), np.array([0.6, 9.0])
>>> loss = sy.losses.weighted_cross_entropy(w)
>>> print(f"{loss(z, y):.4f}")                             # Σ w·ℓ / Σ w, for integers, one-hot and soft targets alike
1.4546
>>> print(f"{loss(z, y, denominator='rows'):.4f}")         # as Keras divides, by name
4.9456
```

`sy.explain(loss, counts)` warns of such things in your own training: double corrections, means over small batches,
gradients that are dead, weights that are upside down.
"""


def page(results: dict[str, Any]) -> str:
    """Return the guide as Markdown."""
    lines = [OPENING]
    for item, title in ITEMS.items():
        lines += [f"## {item}. {title}", ""]
        for one in (c for c in CASES if c.item == item):
            lines += [*textwrap.wrap(f"**{one.package}**: {one.call}", 120, **_WHOLE), ""]
            result = results.get(one.key)
            if result is None:
                lines += ["Not run: the library could not be installed.", ""]
                continue
            name = f"{one.package} {result['version'].partition('+')[0]}"
            lines += [f"| | {name} | Steelyard | exact |", "|---|---:|---:|---:|"]
            for row in result["rows"]:
                cells = [figure(row["theirs"]), figure(row["ours"]), figure(row["exact"])]
                lines.append(f"| {row['what']} | {' | '.join(cells)} |")
            lines += ["", *textwrap.wrap(f"{one.note} Source: {one.source}.", 120, **_WHOLE), ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, help="a folder with more libraries (pip install --no-deps --target)")
    asked = parser.parse_args()
    if asked.peers is not None:
        sys.path.append(str(asked.peers))
    results = stored()
    for one in CASES:
        if installed(one) is None:
            print(f"{one.key}: {one.package} is not installed; kept as it was")
            continue
        try:
            results[one.key] = measured(one)
        except (ImportError, RuntimeError) as error:
            print(f"{one.key}: {one.package} does not load ({error}); kept as it was")
            continue
        print(f"{one.key}: {one.package} {results[one.key]['version']}")
        for row in results[one.key]["rows"]:
            print("   ", row["what"], *(figure(row[name]) for name in ("theirs", "ours", "exact")), sep="  ")
    RESULTS.write_text(
        json.dumps({c.key: results[c.key] for c in CASES if c.key in results}, indent=1, allow_nan=False) + "\n",
        "utf-8",
    )
    PAGE.write_text(page(results), encoding="utf-8")


if __name__ == "__main__":
    main()
