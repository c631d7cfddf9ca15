"""A small storm through the pipe: what befalls each unit, and nothing else, is what is told of it (3 s)."""

import json
import time
from datetime import datetime
from pathlib import Path

import pytest

from ingest.__main__ import main
from ingest.complaint import ComplaintError
from ingest.publisher import until_its_time
from ingest.storm import Storm, read_storm
from schemas.calendar import instant
from schemas.section import Record, Tick
from tests.test_pipe import run

AT = "2026-11-23T20:07:00+08:00"
KINDS = {
    "outage": "silent points",
    "silent point": "silent points",
    "late data": "confirmed breach",
    "breach": "confirmed breach",
    "suspected breach": "suspected breach",
}
"""What is told; of a bad factor nothing, before people bring it into force."""
SMALL = """
calm_hours = 8
lasts_minutes = 5
facts = [
  { kind = "outage", region = "510402", units = 3 }, { kind = "bad factor", region = "510105" }, { kind = "late data", region = "511102", units = 3 },
  { kind = "breach", region = "510704" }, { kind = "suspected breach", region = "510704" }, { kind = "silent point", region = "510802" },
  { kind = "nothing", region = "510105", units = 2 },
]
regions = [
  { code = "510402", name = "Dongqu" }, { code = "511102", name = "Shizhong" }, { code = "510704", name = "Youxian" },
  { code = "510802", name = "Lizhou" }, { code = "510105", name = "Qingyang" },
]
"""
RULES = "\n".join(
    f'[[rules]]\nname = "rule-{number}"\nkind = "{kind}"\nseverity = "warning"'
    for number, kind in enumerate(dict.fromkeys(KINDS.values()))
)


def test_a_storm_is_told_as_it_is_listed(tmp_path: Path) -> None:
    """Each fact of each of its units by the tick after the data show it, once; calm before, and of the others nothing."""
    (tmp_path / "storm.toml").write_text(SMALL)
    (tmp_path / "rules.toml").write_text(RULES)
    storm = f"python -m ingest storm {tmp_path}/storm.toml --at {AT}"
    told = f"{storm} | python -m processors replay | python -m alerts replay --rules {tmp_path}/rules.toml"
    facts = Storm(read_storm(SMALL), instant(datetime.fromisoformat(AT))).facts()
    notices = [json.loads(line) for line in run(told)]
    listed = {
        (unit, KINDS[fact.kind]): instant(datetime.fromisoformat(fact.shown_at))
        for fact in facts
        if fact.kind in KINDS
        for unit in fact.units
    }
    heard = {(one["unit"], one["kind"]): one["at"] for one in notices if one["state"] == "firing"}
    assert set(heard) == set(listed)
    assert len(notices) == len(listed)
    assert all(listed[fact] <= at <= listed[fact] + 15_000 for fact, at in heard.items())


def test_a_storm_that_cannot_be(tmp_path: Path) -> None:
    """Each mistake is named: exit code 1."""
    file = tmp_path / "storm.toml"
    wrong = {
        "facts = [": "not TOML",
        "regions = []": "facts: Field required",
        SMALL.replace('"outage"', '"flood"'): "facts.0.kind",
        SMALL.replace("510402", "51", 1): "facts.0.region",
        SMALL.replace("510402", "510403", 1): "510403 is not among its regions",
    }
    for text, words in wrong.items():
        with pytest.raises(ComplaintError, match=words):
            read_storm(text)
    file.write_text(SMALL)
    assert main(["storm", str(file), "--at", "2026-11-23T20:07:10+08:00"]) == 1


def test_nothing_is_written_before_its_time() -> None:
    """What was received is written at once; a tick of the next moment waits for it."""
    now = time.time()
    until_its_time(Record("d", 1, 0, Tick(int(1_000 * now) - 60_000)))
    assert time.time() - now < 0.1
    until_its_time(Record("d", 1, 0, Tick(int(1_000 * now) + 200)))
    assert time.time() - now >= 0.199
