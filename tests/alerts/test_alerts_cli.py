"""The command line: `python -m alerts replay | check`, as people and pipes use it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alerts.__main__ import main
from alerts.settings import AlertSettings
from schemas.calendar import HOUR_MS
from schemas.indicator import Message
from tests.alerts.logs import START, UNIT, indicator, tick

LOG: list[Message] = [
    indicator(0, START, "s", silent=["p1"]),
    tick(0, START),
    tick(1, START + 2 * HOUR_MS),
    indicator(2, START + 3 * HOUR_MS, "x"),
    indicator(3, START + 4 * HOUR_MS, ".", cause="late reading"),
    tick(3, START + 4 * HOUR_MS),
]


def lines_of(log: list[Message]) -> str:
    return "".join(message.model_dump_json() + "\n" for message in log)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alerts", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_replay_prints_transitions() -> None:
    """With the default rules, each with its texts; the counts go to standard error."""
    done = run("replay", stdin=lines_of(LOG) + "\n")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [(t["rule"], t["state"]) for t in told] == [
        ("quota-probably-exceeded", "pending"),
        ("points-silent", "firing"),
        ("quota-probably-exceeded", "firing"),
        ("quota-exceeded", "firing"),
        ("quota-probably-exceeded", "resolved"),
        ("points-silent", "resolved"),
        ("quota-exceeded", "retracted"),
    ]
    assert all(t["unit"] == UNIT and t["annotations"]["summary"] for t in told)
    assert "3 firing, 1 pending, 2 resolved, 1 retracted" in done.stderr


def test_replay_is_deterministic() -> None:
    """The same lines for the same input, and for one of which a part comes twice."""
    once = run("replay", stdin=lines_of(LOG)).stdout
    assert run("replay", stdin=lines_of(LOG)).stdout == once
    assert run("replay", stdin=lines_of([*LOG, *LOG])).stdout == once


def test_replay_names_bad_lines_and_goes_on() -> None:
    """One broken line must not stop the others; the exit code tells of it."""
    done = run("replay", stdin='{"kind":"unit"}\nnonsense\n[1]\n\xff\n' + lines_of(LOG))
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 7
    for number in (1, 2, 3, 4):
        assert f"line {number}: " in done.stderr


def test_replay_of_nothing() -> None:
    done = run("replay")
    assert (done.returncode, done.stdout) == (0, "")
    assert "no transition" in done.stderr


def test_replay_into_a_closed_pipe() -> None:
    """Who has seen enough closes the pipe; no traceback, and no failure."""
    many = "".join(
        indicator(n, START + n * HOUR_MS, ".x"[n % 2]).model_dump_json() + "\n"
        for n in range(3_000)
    )
    command = f"{sys.executable} -m alerts replay | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["/bin/bash", "-c", command], input=many, capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 1
    assert (done.returncode, done.stderr) == (0, "")


def test_replay_refuses_a_bad_rule_file(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[[rules]]\nname = 'a'\nkind = 'guess'\n")
    done = run("replay", "--rules", str(rules))
    assert done.returncode == 2
    assert "guess" in done.stderr


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 and what the rules are; 1 and what is wrong; 2 where there is no file."""
    good = Path(__file__).parents[2] / "deploy/example/rules.toml"
    bad = tmp_path / "rules.toml"
    bad.write_text("[[rules]]\nname = 'a'\nkind = 'guess'\nhold = '1h'\n")
    assert main(["check", str(good)]) == 0
    assert "quota-exceeded: confirmed breach, critical" in capsys.readouterr().out
    assert main(["check", str(bad)]) == 1
    complaint = capsys.readouterr().err
    assert all(word in complaint for word in ("guess", "1h", "severity"))
    assert main(["check", str(tmp_path / "none.toml")]) == 2
    assert "none.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("list", {}, (2, "WEIR_DATABASE_URL")),
        ("run", {}, (2, "WEIR_DATABASE_URL")),
        ("run", {"WEIR_KAFKA": "nowhere"}, (2, "nowhere")),
        ("run --alertmanager nowhere", {}, (2, "no address")),
        ("run --webhook ftp://host/x", {}, (2, "no address")),
        ("run --rules none.toml", {}, (2, "none.toml")),
        ("list", {"WEIR_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, (1, "does not answer")),
    ],
)
def test_what_is_not_given_right_is_named(
    command: str,
    environment: dict[str, str],
    expected: tuple[int, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before anything is begun, in one line."""
    for name in ("WEIR_DATABASE_URL", "WEIR_DATABASE_URL_FILE", "WEIR_KAFKA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, word = expected
    assert main(command.split()) == code
    assert word in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a verb the help is shown, and it is a mistake; `--help` is none."""
    assert main([]) == 2
    assert "processors replay | python -m alerts replay" in capsys.readouterr().out
    for verb in ("replay", "check", "run", "list"):
        with pytest.raises(SystemExit) as left:
            main([verb, "--help"])
        assert left.value.code == 0
        assert "Exit codes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({}, ("weir.indicators.v1", "weir-alerts"), id="the usual names"),
        pytest.param(
            {"WEIR_TOPIC_PREFIX": "test7."},
            ("test7.weir.indicators.v1", "test7.weir-alerts"),
            id="several Weirs on one broker",
        ),
        pytest.param(
            {"WEIR_TOPIC_PREFIX": "test7.", "WEIR_ALERTS_TOPIC": "t", "WEIR_ALERTS_GROUP": "g"},
            ("t", "g"),
            id="whole names as they stand",
        ),
    ],
)
def test_topic_and_group_keep_to_the_prefix(
    told: dict[str, str], expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the doors and the stream do."""
    for name in ("WEIR_TOPIC_PREFIX", "WEIR_ALERTS_TOPIC", "WEIR_ALERTS_GROUP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    settings = AlertSettings.read()
    assert (settings.heard_topic, settings.group) == expected
