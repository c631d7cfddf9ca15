"""The words of cases, in both languages: data for `alerts/case_text.py`."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from schemas.rule import Severity

Language = Literal["zh", "en"]
Said = Literal["opened", "grown", "worse", "escalated", "closed"]


class Shapes(NamedTuple):
    """How a case of many alerts reads: a title and a body by its kind and whether it is over."""

    scopes: Mapping[str, str]
    texts: Mapping[tuple[str, bool], tuple[str, str]]
    comma: str
    more: str


class Words(NamedTuple):
    """What stands around every text."""

    severities: Mapping[Severity, str]
    said: Mapping[Said, str]
    contested: str
    """Units, each with the numbers of its objections."""
    do: str
    changed: str
    changes: tuple[str, str, str]
    join: str
    link: str
    case: str
    shapes: Shapes


ENGLISH = Shapes(
    scopes={
        "network": "network {}",
        "city": "city {}",
        "province": "province {}",
        "late": "late data of city {}",
        "limit": "limits changed by configuration {}",
        "factor": "factors changed by configuration {}",
        "restatement": "restatement under configuration {}",
        "rule": "alert rules changed (configuration {})",
    },
    texts={
        ("outage", False): (
            "{scope}: {count} units send no data",
            "No data from {count} units of {scope}, the first since {since}. They cannot be judged meanwhile; that says nothing against them. Units: {units}{more}.",
        ),
        ("outage", True): (
            "{scope}: {count} units send again",
            "{count} units of {scope} send again; the outage began at {since}. Who still does not is told apart. Units: {units}{more}.",
        ),
        ("change", False): (
            "{count} units judged otherwise: {scope}",
            "{count} units fire by one cause: {scope}; the first since {since}. Units: {units}{more}.",
        ),
        ("change", True): (
            "{count} units {ending}: {scope}",
            "What {scope} had brought about is {ending}. Units: {units}{more}.",
        ),
        ("late data", False): (
            "{count} units judged otherwise: {scope}",
            "{count} units fire by one cause: {scope}; the first since {since}. Units: {units}{more}.",
        ),
        ("late data", True): (
            "{count} units {ending}: {scope}",
            "What {scope} had brought about is {ending}. Units: {units}{more}.",
        ),
        ("ended together", True): (
            "{count} units: alerts {ending} together, {scope}",
            "The alerts of {count} units are {ending} at {since} by one cause: {scope}. Units: {units}{more}.",
        ),
        ("ended together", False): (
            "{count} units: alerts {ending} together, {scope}",
            "By now the alerts of {count} units are {ending} by one cause: {scope}. Units: {units}{more}.",
        ),
    },
    comma=", ",
    more=" and {} more",
)

CHINESE = Shapes(
    scopes={
        "network": "网络{}",
        "city": "{}",
        "province": "{}",
        "late": "{}迟到数据",
        "limit": "配置第{}版限额变更",
        "factor": "配置第{}版系数变更",
        "restatement": "配置第{}版下重算",
        "rule": "预警规则变更（配置第{}版）",
    },
    texts={
        ("outage", False): (
            "{scope}：{count}家单位数据中断",
            "{scope}{count}家单位无数据，最早自{since}起。期间无法判定，不代表单位违规。单位：{units}{more}。",
        ),
        ("outage", True): (
            "{scope}：{count}家单位恢复上报",
            "{scope}{count}家单位已恢复上报，中断始于{since}。仍未恢复者另行通知。单位：{units}{more}。",
        ),
        ("change", False): (
            "{scope}：{count}家单位判定改变",
            "{count}家单位因同一原因触发预警：{scope}，最早自{since}起。单位：{units}{more}。",
        ),
        ("change", True): (
            "{scope}：{count}家单位{ending}",
            "{scope}引起的预警{ending}。单位：{units}{more}。",
        ),
        ("late data", False): (
            "{scope}：{count}家单位判定改变",
            "{count}家单位因同一原因触发预警：{scope}，最早自{since}起。单位：{units}{more}。",
        ),
        ("late data", True): (
            "{scope}：{count}家单位{ending}",
            "{scope}引起的预警{ending}。单位：{units}{more}。",
        ),
        ("ended together", True): (
            "{scope}：{count}家单位预警同时{ending}",
            "{since}，{count}家单位的预警因同一原因{ending}：{scope}。单位：{units}{more}。",
        ),
        ("ended together", False): (
            "{scope}：{count}家单位预警同时{ending}",
            "至今{count}家单位的预警因同一原因{ending}：{scope}。单位：{units}{more}。",
        ),
    },
    comma="、",
    more="等，另有{}家",
)

WORDS: Mapping[Language, Words] = {
    "en": Words(
        severities={"critical": "critical", "warning": "warning", "info": "info"},
        said={
            "opened": "",
            "grown": ", grown",
            "worse": ", worse",
            "escalated": ", nobody took it up",
            "closed": ", over",
        },
        contested="Contested, and not decided, by unit and objection: {}.",
        do="What can be done: ",
        changed="Changed last: ",
        changes=("configuration", "factors", "engine"),
        join="; ",
        link="Unit: ",
        case="Case {case}: python -m alerts ack {case} --owner YOU --reason WHY --for PT4H",
        shapes=ENGLISH,
    ),
    "zh": Words(
        severities={"critical": "严重", "warning": "警告", "info": "提示"},
        said={
            "opened": "",
            "grown": "·扩大",
            "worse": "·加重",
            "escalated": "·无人处理",
            "closed": "·结束",
        },
        contested="数值存在争议、尚未裁定，单位（异议编号）：{}。",
        do="可采取的措施：",
        changed="最近变更：",
        changes=("配置", "系数", "引擎"),
        join="；",
        link="单位页面：",
        case="事件 {case}：python -m alerts ack {case} --owner 姓名 --reason 原因 --for PT4H",
        shapes=CHINESE,
    ),
}

ACTIONS: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "confirmed breach": "look at the unit's figures and bounds, then ask it for its account; a correction of readings retracts this by itself.",
        "suspected breach": "ask for the missing readings: they decide it.",
        "cannot be judged": "ask for the missing readings, or for the opening balance.",
        "silent points": "ask the unit whether meters, gateway or line are down; late readings count as if in time.",
        "level changed": "look at the units that moved it.",
        "will break": "agree with the unit on what it may use a day from now on.",
        "limit broken": "look at the line's energy and output and at what it declared, then ask the unit for its account.",
        "limit probably broken": "ask for the missing readings, and for parameters that are not declared.",
        "limit to come": "agree with the unit on what the line changes before that day.",
        "limit cannot be judged": "ask for the missing readings, and for parameters that are not declared.",
        "outage": "look at what these units share: line, gateway, data platform, power. Late readings count as if in time.",
        "change": "compare the change with its paper; if it is wrong, load a corrected one: the verdicts follow by themselves.",
        "late data": "nothing, if the readings are right; else let the units correct them.",
    },
    "zh": {
        "confirmed breach": "核对该单位数据及其区间，请单位说明；读数更正后本预警自动撤回。",
        "suspected breach": "催报缺失读数，到齐即可判定。",
        "cannot be judged": "催报缺失读数，或申报期初值。",
        "silent points": "询问单位计量表、网关或线路是否中断；迟到读数照常计入。",
        "level changed": "查看引起变化的单位。",
        "will break": "与单位商定今后每日可用量。",
        "limit broken": "核对该产线能耗、产量及申报参数，请单位说明。",
        "limit probably broken": "催报缺失读数及未申报参数。",
        "limit to come": "与单位商定施行前的改造措施。",
        "limit cannot be judged": "催报缺失读数及未申报参数。",
        "outage": "检查这些单位共用的线路、网关、平台或供电；迟到读数照常计入。",
        "change": "将变更与文件核对；如有误，载入更正版本，判定随之更新。",
        "late data": "读数无误则无需处理，否则请单位更正。",
    },
}
