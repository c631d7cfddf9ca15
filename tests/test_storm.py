"""A small storm through the pipe: what befalls each unit, and nothing else, is what is told of it (3 s)."""

import json
from datetime import datetime
from pathlib import Path

from ingest.storm import Listed
from schemas.calendar import instant
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
    facts = [Listed.model_validate_json(line) for line in run(f"{storm} --facts")]
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
