"""One alert in Chinese, from its evidence: what, how much over with the interval, since when, by what."""

from collections.abc import Mapping

from alerts.evaluation import has_come, is_confirmed
from alerts.limit_text import limit_in_chinese
from alerts.routing import number, regime_of, window_name
from schemas.alert import Cause, Evidence, Notice
from schemas.calendar import rfc3339
from schemas.indicator import Figure, Judged
from schemas.landing import Landed, Regime
from schemas.regions import Standing
from schemas.rule import Kind

ENDINGS: Mapping[str, str] = {
    "inactive": "未持续",
    "resolved": "已解除",
    "retracted": "已撤回",
    "confirmed": "已确认超限",
}
CAUSES: Mapping[Cause, str] = {
    "reading": "新读数",
    "late reading": "迟到读数或更正",
    "time": "时间推移",
    "limit": "限额变更",
    "restatement": "全部读数重算",
    "factor": "系数变更",
    "rule": "预警规则变更",
    "history ends": "历史数据导入结束",
    "declared stop": "已申报停产或检修",
}
_USED: Mapping[Regime, str] = {"energy": "能源消费量", "carbon": "二氧化碳排放量"}
_LIMIT: Mapping[Regime, str] = {"energy": "限额", "carbon": "碳排放预算"}
_MEASURE: Mapping[Regime, str] = {"energy": "吨标准煤", "carbon": "吨二氧化碳"}
_WHAT: Mapping[Kind, str] = {
    "confirmed breach": "{}{used}超过{limit}",
    "suspected breach": "{}{used}疑似超过{limit}",
    "cannot be judged": "{}{used}是否超过{limit}无法判定",
    "silent points": "计量点数据中断",
    "level changed": "{}年{}预警等级",
    "will break": "{}{used}预计年末超过{limit}",
    "limit broken": "{}单位产品能耗超过限额",
    "limit probably broken": "{}单位产品能耗疑似超过限额",
    "limit to come": "{}单位产品能耗将超过即将施行的限额",
    "limit cannot be judged": "{}单位产品能耗是否超限无法判定",
}
_LEVELS = {1: "一级（十分严峻）", 2: "二级（比较严峻）", 3: "三级（基本顺利）"}
_QUANTITIES = {"energy": "能耗", "co2": "碳排放"}


def alone_in_chinese(notice: Notice) -> tuple[str, str]:
    """Return a title of one line, and a body."""
    regime = notice.evidence.regime
    named = {"used": _USED[regime], "limit": _LIMIT[regime]}
    standing = notice.evidence.standing
    quantity = "" if standing is None else _QUANTITIES[standing.quantity]
    what = _WHAT[notice.kind].format(window_name(notice), quantity, **named)
    if standing is not None:
        what += _LEVELS[standing.level or 3]
    title = f"{notice.unit.replace('target:', '目标')}：{what}"
    if notice.state == "firing":
        course = (
            f"自{_since(notice)}起，{rfc3339(notice.at)}判定；原因：{CAUSES[notice.began_by]}。"
        )
        return title, "".join([*_figures(notice), course])
    state = "confirmed" if is_confirmed(notice.kind, notice.evidence) else notice.state
    ending = "该限额已施行" if has_come(notice.kind, notice.evidence) else ENDINGS[state]
    course = f"自{_since(notice)}起，{rfc3339(notice.at)}结束；原因：{CAUSES[notice.cause]}。"
    return f"{title}——{ending}", "".join([*_figures(notice), course])


def _since(notice: Notice) -> str:
    """A breach's is the end of a quarter hour, which may not be over yet."""
    end = "截止的一刻钟" if notice.kind == "confirmed breach" else ""
    return rfc3339(notice.since) + end


def _figures(notice: Notice) -> list[str]:
    evidence = notice.evidence
    if evidence.held is not None:
        return limit_in_chinese(evidence.held, notice.at)
    if evidence.landed is not None:
        return [*_of_landing(evidence.landed), *_rests(evidence)]
    if evidence.standing is not None:
        return _of_standing(evidence.standing)
    if evidence.judged is not None:
        return _of_window(evidence.judged, evidence)
    points = "、".join(point.point for point in evidence.silent[:5])
    return [f"无数据的计量点{len(evidence.silent)}个：{points}。"] if points else []


def _of_landing(landed: Landed) -> list[str]:
    measure = _MEASURE[landed.regime]
    quota = f"{_LIMIT[landed.regime]}{number(landed.quota)}{measure}。预测不是判定。"
    if landed.projected is None:
        return [quota]
    end = landed.projected.year_end
    high = "上限未知" if end.high is None else number(end.high)
    return [
        f"{landed.year}年末预计{number(end.low)}至{high}{measure}（80%区间，期望{number(end.best)}），{quota}"
    ]


def _of_standing(standing: Standing) -> list[str]:
    unit = _MEASURE["energy" if standing.quantity == "energy" else "carbon"]
    used, allowed = number(standing.used.best), number(standing.allowed)
    return [
        f"已用{used}{unit}（最佳估计），至此允许{allowed}{unit}，全年目标{number(standing.amount)}{unit}。",
        *_counted(regime_of(standing), "、".join(standing.views)),
        *(["所用系数未经核实。"] if standing.used.unverified else []),
    ]


def _of_window(judged: Judged, evidence: Evidence) -> list[str]:
    regime = evidence.regime
    used, against = judged.used(regime), judged.against(regime)
    if used is None or against.limit is None:
        return []
    limit = f"{_LIMIT[regime]}{number(against.limit)}{_MEASURE[regime]}"
    told = [
        f"{_USED[regime]}{_interval(used, regime)}，{limit}，{_over(used, against.limit, regime)}。",
        f"实测时间占比{number(used.share_measured * 100)}%。",
        *_rests(evidence),
    ]
    if against.reason == "other factor view":
        told.append("换算所用电力排放因子口径与预算口径不同，无法判定。")
    if used.unverified:
        told.append(f"所用系数未经核实（{'、'.join(used.factors)}）。")
    return told


def _rests(evidence: Evidence) -> list[str]:
    """Regime, and how it is counted."""
    budget = evidence.judged.budget if evidence.judged else None
    view = budget.view if budget else evidence.landed.view if evidence.landed else None
    return _counted(evidence.regime, view)


def _counted(regime: Regime, view: str | None) -> list[str]:
    if regime == "energy":
        return ["口径：能耗，当量值。"]
    return [f"口径：碳排放，电力排放因子{view}。"] if view else []


def _interval(figure: Figure, regime: Regime) -> str:
    if figure.low == figure.high:
        return f"{number(figure.low)}{_MEASURE[regime]}"
    high = "上限未知" if figure.high is None else number(figure.high)
    ends = f"{number(figure.low)}至{high}{_MEASURE[regime]}"
    return f"{ends}（最佳估计{number(figure.best)}）"


def _over(figure: Figure, limit: int, regime: Regime) -> str:
    low, best = _beside(figure.low - limit, regime), _beside(figure.best - limit, regime)
    if figure.low == figure.high:
        return low
    high = "上限未知" if figure.high is None else _beside(figure.high - limit, regime)
    return f"{low}至{high}（最佳估计{best}）"


def _beside(difference: int, regime: Regime) -> str:
    side = "低于" if difference < 0 else "超出"
    return f"{side}{_LIMIT[regime]}{number(abs(difference))}{_MEASURE[regime]}"
