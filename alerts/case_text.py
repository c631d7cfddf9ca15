"""What people read of a case, in Chinese or English: what, since when, how much over, by what, what can be done, what changed last, where.

Chinese is made here from the evidence; in English an alert alone reads as in its notice.
"""

from collections.abc import Mapping
from typing import NamedTuple

from alerts.case_words import ACTIONS, WORDS, Language, Said
from alerts.cases import Case
from alerts.chinese import ENDINGS, alone_in_chinese
from schemas.alert import Notice
from schemas.calendar import rfc3339

UNITS_NAMED = 20
"""Units of a case that its text names; all of them are in `python -m alerts list --case ID`."""


class Changed(NamedTuple):
    """What changed last, ready to be read; empty where nothing is known."""

    configuration: str
    factors: str
    engine: str


NOTHING_CHANGED = Changed("", "", "")


class Text(NamedTuple):
    """A title of one line, and a body."""

    title: str
    body: str


class Setting(NamedTuple):
    """How texts are made."""

    language: Language
    dashboard: str | None
    """Address of a unit's dashboard, `{unit}` in it; None: no link."""
    names: Mapping[str, str]
    """Of units and regions, by code; of an industry, by `target:` and the id of a target of it."""


def text_of(
    said: Said,
    case: Case,
    notice: Notice | None,
    contested: Mapping[str, str],
    changed: Changed,
    setting: Setting,
) -> Text:
    """Return what people read. `notice` is the newest of an alert alone, None of many; `contested`: numbers of open objections by unit."""
    words = WORDS[setting.language]
    what = _many(said, case, setting) if notice is None else _alone(case, notice, setting)
    kind = case.kind if notice is None else notice.kind
    action = ACTIONS[setting.language].get(kind)
    lines = [
        what.body,
        _contested(contested, setting.language) if said != "closed" else "",
        words.do + action if action and said != "closed" else "",
        _changes(changed, setting.language),
        _link(notice, setting),
        "" if said == "closed" else words.case.format(case=case.id),
    ]
    mark = f"[{words.severities[case.severity]}{words.said[said]}]"
    return Text(f"{mark} {what.title}", "\n".join(line for line in lines if line))


def _alone(case: Case, notice: Notice, setting: Setting) -> Text:
    if setting.language == "zh":
        title, body = alone_in_chinese(notice)
    else:
        title, body = notice.annotations["summary"], notice.annotations["description"]
    of_region = setting.names.get(case.region) if notice.evidence.standing is not None else None
    name = of_region or setting.names.get(notice.unit)
    return Text(f"{title} ({name})" if name else title, body)


def _contested(contested: Mapping[str, str], language: Language) -> str:
    words = WORDS[language]
    told = words.join.join(f"{unit} ({ids})" for unit, ids in sorted(contested.items()))
    return words.contested.format(told) if told else ""


def _changes(changed: Changed, language: Language) -> str:
    words = WORDS[language]
    told = [f"{name} {value}" for name, value in zip(words.changes, changed, strict=True) if value]
    return words.changed + words.join.join(told) if told else ""


def _link(notice: Notice | None, setting: Setting) -> str:
    if notice is None or not setting.dashboard or notice.unit.startswith("target:"):
        return ""
    return WORDS[setting.language].link + setting.dashboard.replace("{unit}", notice.unit)


def _many(said: Said, case: Case, setting: Setting) -> Text:
    is_over = said == "closed"
    members = case.members if is_over else case.firing
    units = sorted({member.unit for member in members})
    names = setting.names
    listed = [f"{unit} {names[unit]}" if unit in names else unit for unit in units[:UNITS_NAMED]]
    key, _, value = case.scope.partition(":")
    shapes = WORDS[setting.language].shapes
    scope = shapes.scopes[key].format(names.get(value, value))
    ending = case.ending or "resolved"
    told = {
        "count": len(units),
        "scope": scope,
        "since": rfc3339(case.began_at),
        "units": shapes.comma.join(listed),
        "more": shapes.more.format(len(units) - UNITS_NAMED) if len(units) > UNITS_NAMED else "",
        "ending": ENDINGS[ending] if setting.language == "zh" else ending,
    }
    title, body = shapes.texts[case.kind, is_over]
    return Text(title.format(**told), body.format(**told))
