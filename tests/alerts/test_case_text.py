"""What people read: what, since when, how much over, by what, what can be done, what changed last, where; in both languages."""

import pytest

from alerts.case_text import NOTHING_CHANGED, Changed, Setting, text_of
from alerts.case_words import ACTIONS, CHINESE, ENGLISH
from alerts.cases import Arrival, Case, Grouping, decide
from schemas.rule import KINDS, Kind
from tests.alerts.logs import UNIT
from tests.alerts.test_cases import CITY, breach, silent
from tests.alerts.test_levels import course, notices

CHANGED = Changed("12, Li: new pack (2026-11-23T10:00:00+08:00)", "CN-2026.2", "0.1.0+7")
LINK = "https://grafana.example/d/weir-unit?var-unit={unit}"
ZH = Setting("zh", LINK, {UNIT: "示例钢厂", "510400": "攀枝花"})
EN = Setting("en", LINK, {UNIT: "Example steel works", "510400": "Panzhihua"})


def cases(*arrivals: Arrival) -> list[Case]:
    return list(decide((), arrivals, Grouping(0), now=0).cases.values())


def test_a_breach_in_chinese() -> None:
    """The interval is over the limit by an interval, and the link leads to the unit."""
    (notice,) = breach(UNIT)
    (case,) = cases(Arrival(notice, CITY, 0))
    text = text_of("opened", case, notice, {}, CHANGED, ZH)
    assert text.title == f"[严重] {UNIT}：2026能源消费量超过限额 (示例钢厂)"
    assert text.body.splitlines() == [
        (
            "能源消费量1,000.00001至1,000.00003吨标准煤（最佳估计1,000.00002），限额1,000吨标准煤，"
            "超出限额0.00001吨标准煤至超出限额0.00003吨标准煤（最佳估计超出限额0.00002吨标准煤）。"
            "实测时间占比98.7%。口径：能耗，当量值。"
            "自2026-02-11T15:45:00+08:00截止的一刻钟起，2026-02-11T16:00:00+08:00判定；原因：新读数。"
        ),
        "可采取的措施：核对该单位数据及其区间，请单位说明；读数更正后本预警自动撤回。",
        "最近变更：配置 12, Li: new pack (2026-11-23T10:00:00+08:00)；系数 CN-2026.2；引擎 0.1.0+7",
        f"单位页面：https://grafana.example/d/weir-unit?var-unit={UNIT}",
        f"事件 {case.id}：python -m alerts ack {case.id} --owner 姓名 --reason 原因 --for PT4H",
    ]


def test_a_breach_in_english() -> None:
    """As its notice, with what can be done, what changed last and where to look."""
    (notice,) = breach(UNIT)
    (case,) = cases(Arrival(notice, CITY, 0))
    text = text_of("escalated", case, notice, {}, CHANGED, EN)
    assert (
        text.title
        == f"[critical, nobody took it up] Unit {UNIT}: energy of 2026 is above its quota (Example steel works)"
    )
    lines = text.body.splitlines()
    assert "between 0.00001 tce over and 0.00003 tce over" in lines[0]
    assert lines[1].startswith("What can be done: look at the unit's figures")
    assert (
        lines[2]
        == "Changed last: configuration 12, Li: new pack (2026-11-23T10:00:00+08:00); factors CN-2026.2; engine 0.1.0+7"
    )


def test_a_target_of_an_industry_is_told_by_its_name() -> None:
    """It lies in no region."""
    (notice,) = notices(course("331"))
    (case,) = cases(Arrival(notice, "", 0))
    text = text_of(
        "opened", case, notice, {}, NOTHING_CHANGED, Setting("zh", None, {notice.unit: "黑色金属"})
    )
    assert text.title.endswith("能耗预警等级一级（十分严峻） (黑色金属)")


@pytest.mark.parametrize("setting", [ZH, EN], ids=["zh", "en"])
def test_an_end_reads_as_one(setting: Setting) -> None:
    """What is retracted says so, and asks for nothing."""
    firing, end = breach(UNIT, over="factor")
    (case,) = cases(Arrival(firing, CITY, 0))
    text = text_of("closed", case, end, {}, NOTHING_CHANGED, setting)
    assert ("已撤回" if setting is ZH else "Retracted") in text.title
    assert ("系数变更" if setting is ZH else "a change of a factor") in text.body
    assert "python -m alerts ack" not in text.body


@pytest.mark.parametrize("setting", [ZH, EN], ids=["zh", "en"])
def test_an_outage_names_place_and_units(setting: Setting) -> None:
    """A list, cut where it is long; that it says nothing against anybody."""
    arrivals = [Arrival(silent(f"U{n:02}")[0], CITY, 0) for n in range(25)]
    (case,) = cases(*arrivals)
    text = text_of("opened", case, None, {}, NOTHING_CHANGED, setting)
    assert setting.names["510400"] in text.title
    assert "25" in text.title
    assert "U19" in text.body
    assert "U20" not in text.body
    assert ("另有5家" if setting is ZH else "and 5 more") in text.body
    assert ("不代表单位违规" if setting is ZH else "says nothing against them") in text.body


@pytest.mark.parametrize("setting", [ZH, EN], ids=["zh", "en"])
def test_a_contested_figure_is_told_as_one(setting: Setting) -> None:
    """With the objections, in both languages; of an end no more."""
    (notice,) = breach(UNIT)
    (case,) = cases(Arrival(notice, CITY, 0))
    told = [
        text_of(said, case, notice, {UNIT: "3, 5"}, NOTHING_CHANGED, setting).body
        for said in ("opened", "closed")
    ]
    words = "数值存在争议、尚未裁定" if setting is ZH else "Contested, and not decided"
    assert [words in body and f"{UNIT} (3, 5)" in body for body in told] == [True, False]


@pytest.mark.parametrize("setting", [ZH, EN], ids=["zh", "en"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_can_be_done(setting: Setting, kind: Kind) -> None:
    """With what changed last, the link and the case, in both languages."""
    (notice,) = breach(UNIT)
    (case,) = cases(Arrival(notice, CITY, 0))
    told = text_of("opened", case, notice.model_copy(update={"kind": kind}), {}, CHANGED, setting)
    action = ACTIONS[setting.language][kind]
    assert action in told.body
    assert all(what in told.body for what in (*CHANGED, UNIT, case.id))


def test_both_languages_say_the_same_things() -> None:
    """Each shape, scope and action is there in both."""
    assert CHINESE.scopes.keys() == ENGLISH.scopes.keys()
    assert CHINESE.texts.keys() == ENGLISH.texts.keys()
    assert ACTIONS["zh"].keys() == ACTIONS["en"].keys()
    assert set(KINDS) <= ACTIONS["en"].keys()
