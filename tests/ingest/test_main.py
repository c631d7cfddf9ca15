"""The command line teaches, and says in plain English what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.__main__ import main
from schemas.wire import from_line

ROOT = Path(__file__).parents[2]
VERBS = ["simulate", "schema", "publish", "import", "clock", "topics"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ingest", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb shows a command that can be copied."""
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    _, _, example = capsys.readouterr().out.partition("example:\n")
    assert f"python -m ingest {verb}" in example


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["sing"],
        ["simulate", "--hours", "0"],
        ["simulate", "--misbehave", "0.2"],
        ["simulate", "--start", "2026-01-01"],
        ["simulate", "--start", "2026-01-01T00:30:00+08:00"],
        ["topics", "destroy"],
    ],
)
def test_a_command_that_is_not_right(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, and what is wrong."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["publish"], "no Kafka at 127.0.0.1:1", id="no Kafka to publish to"),
        pytest.param(["import", "f", "--mapping", "/nowhere"], "cannot be read", id="no mapping"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], said: str) -> None:
    """Exit code 1, a word, no traceback."""
    done = run(*arguments, WEIR_KAFKA="127.0.0.1:1")
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_are_wrong_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of the variable."""
    monkeypatch.setenv("WEIR_PARTITIONS", "many")
    assert main(["simulate"]) == 1
    assert "WEIR_PARTITIONS='many'" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough() -> None:
    """`| head` ends the simulation without a traceback."""
    simulate = f"{sys.executable} -m ingest simulate --hours 480 | head -2"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {simulate}"],  # noqa: S607 - bash, wherever it is
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2


def test_the_simulation_is_lines_of_the_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    """With as many partitions as asked for."""
    assert main(["simulate", "--hours", "1", "--partitions", "2"]) == 0
    told = [from_line(line) for line in capsys.readouterr().out.splitlines()]
    assert {item[0] for item in told[1:] if isinstance(item, tuple)} <= {0, 1}


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$id"] == "weir/reading.v1"


def test_an_import(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines of the pipe on stdout, how far it is and what the file came to on stderr; a dry run writes none."""
    monkeypatch.setattr("ingest.importer._PROGRESS_EVERY_S", -1.0)
    (tmp_path / "mapping.toml").write_text(
        'time = "t"\n[[readings]]\npoint = "E1"\nvalue = "v"\nstatement = "PT15M"\nunit = "kWh"\n'
    )
    (tmp_path / "file.csv").write_text("t,v\n2026-01-01T00:00:00,1.5\n")
    arguments = ["import", str(tmp_path / "file.csv"), "--mapping", str(tmp_path / "mapping.toml")]
    assert main(arguments) == 1
    assert "whose file is this?" in capsys.readouterr().err
    assert main([*arguments, "--unit", "short"]) == 1
    assert "18-character" in capsys.readouterr().err
    arguments += ["--unit", "91510100SYN0000001"]
    assert main([*arguments, "--ticks", "PT15M", "--received-at", "2026-01-02T00:00:00+08:00"]) == 0
    said = capsys.readouterr()
    (line,) = said.out.splitlines()
    assert isinstance(from_line(line), tuple)
    assert "1 rows, 1 readings so far" in said.err
    assert "1 rows: 1 readings" in said.err
    assert main([*arguments, "--dry-run"]) == 0
    assert "E1 PT15M 2026-01-01T00:00:00+08:00 to" in capsys.readouterr().out


def test_nothing_of_kafka_is_loaded_for_the_pipe() -> None:
    """It needs no server, and starts at once."""
    code = "import sys, ingest.__main__ as m; m.main(['simulate', '--hours', '1'])"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit('kafka' in sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0


def test_a_history_ends_for_units_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """A code that no unit can have ends nobody's history, and none of the others'."""
    assert main(["history-ends", "91510100SYN0000001", "nonsense"]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "'nonsense' is no unit's code" in said.err
    assert main(["history-ends", "91510100SYN0000001"]) == 0
    assert '"history_ends":"91510100SYN0000001"' in capsys.readouterr().out
