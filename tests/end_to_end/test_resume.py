"""kill −9 in the middle of a comparison, then --resume: the same results as without."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")

SETTINGS = ("--target", "y", "--strategies", "balanced,oversample", "--model", "linear", "--cv", "4", "--repeats", "3")


def command(data, out, *more):
    return [sys.executable, "-m", "steelyard", "compare", str(data), *SETTINGS, "--out", str(out), *more]


def finished(journal):
    try:
        with sqlite3.connect(f"file:{journal}?mode=ro", uri=True) as connection:
            return connection.execute("SELECT COUNT(DISTINCT repeat * 100 + fold) FROM work").fetchone()[0]
    except sqlite3.OperationalError:
        return 0


def results(out):
    content = json.loads((out / "results.json").read_text())
    return content | {"runs": [r | {"fit_seconds": 0} for r in content["runs"]]}


def test_two_kills_and_two_resumes_equal_the_uninterrupted_run(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(3000) < 0.1
    columns = {f"x{i}": rng.normal(size=3000) + 0.5 * y for i in range(12)}
    data = tmp_path / "data.csv"
    pd.DataFrame(columns | {"y": np.where(y, "ill", "well")}).to_csv(data, index=False)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    subprocess.run(command(data, whole), check=True, capture_output=True, env=os.environ)
    kills = 0
    for least in (2, 6):
        process = subprocess.Popen(
            command(data, broken, "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 120
        while process.poll() is None and finished(broken / "journal.sqlite") < least and time.monotonic() < until:
            time.sleep(0.005)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        before = finished(broken / "journal.sqlite")
        assert before >= least
    assert kills >= 1, "the comparison was over before it could be killed: it tests nothing"
    assert not (broken / "results.json").exists()
    refused = subprocess.run(command(data, broken), capture_output=True, text=True)
    assert refused.returncode == 2
    assert "--resume goes on with it" in refused.stderr
    subprocess.run(command(data, broken, "--resume"), check=True, capture_output=True)
    assert results(broken) == results(whole)
    again = subprocess.run(command(data, broken, "--resume"), capture_output=True)
    assert again.returncode == 0
    assert results(broken) == results(whole)
    data.write_text(data.read_text().replace("ill", "sick"))
    changed = subprocess.run(command(data, broken, "--resume"), capture_output=True, text=True)
    assert changed.returncode == 2
    assert "the same data as when" in " ".join(changed.stderr.split())


def test_control_c_says_how_to_go_on(tmp_path):
    rng = np.random.default_rng(0)
    y = rng.random(3000) < 0.1
    data = tmp_path / "data.csv"
    columns = {f"x{i}": rng.normal(size=3000) + 0.5 * y for i in range(12)}
    pd.DataFrame(columns | {"y": np.where(y, "ill", "well")}).to_csv(data, index=False)
    # a test runner in the background of a shell would hand down an ignored signal
    listening = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from steelyard.__main__ import main; sys.argv[0] = 'steelyard'; main()"
    )
    _, _, _, *arguments = command(data, tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", listening, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 120
    while finished(tmp_path / "out" / "journal.sqlite") < 1 and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "--resume goes on with it" in said
    assert "Traceback" not in said
