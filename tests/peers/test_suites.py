"""The suites of other libraries, case by case; README and this file count the same cases.

The table of README is printed by ``python -m tests.peers``.
"""

import warnings
from pathlib import Path

import pytest

from tests.peers import SUITES, table


def every(kind):
    return [pytest.param(s, c, id=f"{s.name}: {c}") for s in SUITES for c in getattr(s, kind)]


@pytest.mark.parametrize(("suite", "case"), every("run"))
def test_a_case_of_a_peer_passes(suite, case):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs, about their own code
        suite.cases[case]()


@pytest.mark.parametrize(("suite", "case"), every("left_out"))
def test_a_case_that_is_left_out_exists_and_fails(suite, case):
    """One that would pass has no reason to be left out."""
    if "an estimator of scikit-learn" in suite.left_out[case]:
        assert case in suite.cases
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed = False
        try:
            suite.cases[case]()
        except (Exception, pytest.fail.Exception):
            failed = True
    assert failed


def test_readme_has_the_counts():
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    assert table() in readme
