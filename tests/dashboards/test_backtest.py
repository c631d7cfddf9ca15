"""A backtest over the stored history of the example province tells what its alerts told."""

import json

import psycopg
import pytest

from alerts.__main__ import main
from tests.dashboards.conftest import Seeded


def test_a_backtest_of_the_default_rules_finds_what_was_told(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many firings of each rule as alerts stored, read with the rights of the worker's login."""
    monkeypatch.setenv("WEIR_DATABASE_URL", seeded.logins["worker"])
    words = ["deploy/example/rules.toml", "--from", "2025-01-01", "--to", "2027-01-01", "--json"]
    assert main(["backtest", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    with psycopg.connect(seeded.url) as link:
        told = link.execute(
            "SELECT rule, count(DISTINCT episode) FROM alert_transition WHERE state = 'firing' GROUP BY rule"
        ).fetchall()
    firings = {rule["rule"]: rule["firings"] for rule in found["rules"] if rule["firings"]}
    assert firings.pop("target-very-severe") > 0  # the province's alerts heard nothing of targets
    assert firings == dict(told)
    assert found["missed"] == {}
    assert main(["backtest", *words[:-1]]) == 0
    assert "fires" in capsys.readouterr().out


def test_a_login_that_may_not_read_it_is_told_so(
    seeded: Seeded, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By exit code and name."""
    monkeypatch.setenv("WEIR_DATABASE_URL", seeded.reader)
    assert (
        main(
            ["backtest", "deploy/example/rules.toml", "--from", "2026-01-01", "--to", "2027-01-01"]
        )
        == 1
    )
    assert "may not read what was told" in capsys.readouterr().err
