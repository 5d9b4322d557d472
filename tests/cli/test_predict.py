import csv
import gzip
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pytest
from typer.testing import CliRunner

import steelyard as sy
from steelyard.cli import app
from steelyard.comparison.classifier import Classifier
from steelyard.comparison.stored import save

runner = CliRunner(env={"COLUMNS": "200", "TERM": "dumb"})


def invoke(*arguments):
    return runner.invoke(app, ["predict", *(str(a) for a in arguments)])


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    y = rng.random(300) < 0.2
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(300) < 0.4, np.nan, rng.normal(40 + 12 * y, 10)),
            "code": rng.choice(["01", "1", "x"], 300),
            "[red]flag[/]": rng.random(300) < 0.5,
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 300, 300), "D"),
        }
    )
    return frame, np.where(y, "[bold]a,b=1[/]", "<b>")


@pytest.fixture(scope="module")
def model(rows, tmp_path_factory):
    return save(Classifier(strategy="balanced").fit(*rows), tmp_path_factory.mktemp("run") / "model")


@pytest.fixture
def data(rows, tmp_path):
    path = tmp_path / "data.csv"
    rows[0].to_csv(path, index=False)
    return path


def table_of(text):
    return pd.read_csv(io.StringIO(text), dtype={"prediction": str})


def check(table, model, frame):
    loaded = sy.load(model)
    assert list(table) == ["prediction", "probability_<b>", "probability_[bold]a,b=1[/]"]
    assert table["prediction"].tolist() == loaded.predict(frame).tolist()
    np.testing.assert_array_equal(table.to_numpy()[:, 1:].astype(float), loaded.predict_proba(frame))


def test_csv_goes_to_the_terminal_with_labels_as_they_are(rows, model, data):
    done = invoke(model, data)
    assert done.exit_code == 0, done.output
    check(table_of(done.stdout), model, rows[0])
    assert done.stderr == ""


def test_the_folder_of_the_comparison_will_do(model, data):
    assert invoke(model.parent, data).stdout == invoke(model, data).stdout


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.csv.gz", "below/out.parquet"])
def test_out_is_written_by_its_ending(rows, model, data, tmp_path, name):
    out = tmp_path / name
    done = invoke(model, data, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "300 rows" in done.stderr
    read = pd.read_parquet if name.endswith("parquet") else lambda p: pd.read_csv(p, sep="\t" if "tsv" in name else ",")
    check(read(out), model, rows[0])
    assert invoke(model, data, "--out", out).exit_code == 0  # an old file is replaced
    assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("ending", [".tsv", ".csv.gz", ".parquet", ".feather", ".arrow", ";.csv"])
def test_every_kind_of_file_gives_the_same_predictions(rows, model, data, tmp_path, ending):
    frame = rows[0].assign(extra=[["x"]] * 300, target="?")[["target", *list(rows[0])[::-1], "extra"]]
    path = tmp_path / f"new{ending}"
    if ending == ".parquet":
        frame.to_parquet(path, row_group_size=70)
    elif ending == ".feather":
        pyarrow.feather.write_feather(frame.astype({"code": "category"}), path, chunksize=70)
    elif ending == ".arrow":
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, pa.Schema.from_pandas(frame)) as writer:
            writer.write_table(pa.Table.from_pandas(frame), max_chunksize=70)
    else:
        mark = {".tsv": "\t", ";.csv": ";"}.get(ending, ",")
        frame.to_csv(path, sep=mark, index=False, decimal="," if mark == ";" else ".")
    done = invoke(model, path)
    assert done.exit_code == 0, done.output
    assert done.stdout == invoke(model, data).stdout


def test_texts_are_read_as_in_training_whatever_they_look_like(rows, model, tmp_path):
    # alone, these columns would be read as numbers, truth values and nothing at all
    text = "code,[red]flag[/],day,age\n01,true,2020-03-01,\n1,false,2020-03-01,?\n7,,,NA\n"
    (tmp_path / "new.csv").write_text(text)
    frame = pd.DataFrame(
        {
            "code": ["01", "1", "7"],
            "age": None,
            "[red]flag[/]": [True, False, None],
            "day": pd.to_datetime(["2020-03-01"] * 2 + [None]),
        }
    )
    check(table_of(invoke(model, tmp_path / "new.csv").stdout), model, frame)


def test_no_probabilities_and_no_rows(model, data, tmp_path):
    done = invoke(model, data, "--no-proba")
    assert next(csv.reader(done.stdout.splitlines())) == ["prediction"]
    assert len(done.stdout.splitlines()) == 301
    (tmp_path / "empty.csv").write_text("age,code,[red]flag[/],day\n")
    assert list(csv.reader(invoke(model, tmp_path / "empty.csv").stdout.splitlines())) == [
        ["prediction", "probability_<b>", "probability_[bold]a,b=1[/]"]
    ]


@pytest.mark.parametrize("prior", ["[bold]a,b=1[/]=0.01,<b>=0.99", "<b>=0.99", " <b>=99e-2 , [bold]a,b=1[/]=.01"])
def test_target_prior(rows, model, data, prior):
    done = invoke(model, data, "--target-prior", prior)
    assert done.exit_code == 0, done.output
    expected = sy.load(model).with_prior({"<b>": 0.99}).predict_proba(rows[0])
    np.testing.assert_allclose(table_of(done.stdout).to_numpy()[:, 1:].astype(float), expected)


@pytest.mark.parametrize(
    ("labels", "kind"), [((0, 1), "int64"), ((True, False), "bool"), (("a", "b"), "string"), ((0.0, 1.0), "double")]
)
def test_labels_keep_their_type_in_parquet(rows, tmp_path, labels, kind):
    frame, y = rows
    folder = save(Classifier().fit(frame, [labels[int(label == "<b>")] for label in y]), tmp_path / "model")
    frame.to_parquet(tmp_path / "data.parquet")
    assert invoke(folder, tmp_path / "data.parquet", "--out", tmp_path / "out.parquet").exit_code == 0
    table = pa.parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("prediction").type) == kind
    assert set(table.column("prediction").to_pylist()) <= set(labels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("code,day,age\n01,2020-01-01,3\n", "none called '[red]flag[/]'"),
        ("code,dya,age,[red]flag[/]\n01,2020-01-01,3,true\n", "none called 'day'. Hint: did you mean 'dya'?"),
        ("code,day,age,[red]flag[/]\n01,2020-01-01,3,true\nx,,old,true\n", "a number in every row of column 'age' of"),
        ("code,day,age,[red]flag[/]\n01,2020-01-01,3,perhaps\n", "got 'perhaps' in row 2"),
        ("code,day,age,[red]flag[/]\n01,2020-01-01\n", "4 fields in every row of"),
        ("code,day,age,age,[red]flag[/]\n01,2020-01-01,3,3,true\n", "'age' more than once"),
        ("", "which is empty"),
    ],
)
@pytest.mark.parametrize("to_file", [False, True])
def test_a_file_that_cannot_be_used_is_one_line_and_nothing_is_written(model, tmp_path, text, message, to_file):
    (tmp_path / "new.csv").write_text(text)
    done = invoke(model, tmp_path / "new.csv", *(["--out", tmp_path / "out.csv"] if to_file else []))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.strip().startswith("Error: Expected ")
    assert done.stderr.strip().count("\n") == 0
    assert [p.name for p in tmp_path.iterdir()] == ["new.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{model}", "{data}", "--target-prior", "sick=0.1"), "CLASS=SHARE with commas between; got 'sick=0.1'"),
        (("{model}", "{data}", "--target-prior", "<b>=many"), "CLASS=SHARE"),
        (("{model}", "{data}", "--target-prior", "<b>=1.5"), "positive shares with a sum of 1"),
        (("{model}", "{data}", "--out", "out.xlsx"), "a file ending in .csv"),
        (("{model}", "{data}", "--out", "{data}"), "another file for the predictions than the data"),
        (("{model}", "{data}", "--out", "{folder}"), "which is a folder"),
        (("{model}", "{folder}/data.cvs"), "did you mean 'data.csv'"),
        (("{folder}", "{data}"), "the folder of a stored model"),
        (("{data}", "{data}"), "pickled models are not read"),
    ],
)
def test_bad_input_is_one_line(model, data, arguments, message):
    folder = data.parent / "x.csv"
    folder.mkdir()
    places = {"model": model, "data": data, "folder": folder if "--out" in arguments else data.parent}
    before = data.read_bytes()
    done = invoke(*(a.format(**places) for a in arguments))
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert data.read_bytes() == before


def test_a_gzip_file_that_was_cut_off_is_one_line(model, data, tmp_path):
    whole = gzip.compress(data.read_bytes() * 20)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    done = invoke(model, tmp_path / "cut.csv.gz", "--out", tmp_path / "out.csv")
    assert done.exit_code == 2
    assert done.stderr.strip().count("\n") == 0
    assert not (tmp_path / "out.csv").exists()


def test_a_reader_that_leaves_ends_it_quietly(model, data):
    big = data.parent / "big.csv"
    lines = data.read_text().splitlines(keepends=True)
    big.write_text(lines[0] + "".join(lines[1:]) * 200)
    command = f"{sys.executable} -m steelyard predict {model} {big} | head -2"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert len(done.stdout.splitlines()) == 2
    assert "Traceback" not in done.stderr


def test_help_has_examples():
    shown = runner.invoke(app, ["predict", "--help"]).stdout
    for line in ("steelyard predict runs/data/model new.csv > predictions.csv", "--target-prior"):
        assert line in shown
