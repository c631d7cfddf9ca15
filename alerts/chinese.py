"""One alert in Chinese, from its evidence: what, how much over with the interval, since when, by what."""

from collections.abc import Mapping

from alerts.evaluation import is_confirmed
from alerts.limit_text import limit_in_chinese
from alerts.routing import number, window_name
from schemas.alert import Cause, Notice
from schemas.calendar import rfc3339
from schemas.indicator import Figure, Judged
from schemas.landing import Landed
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
_WHAT: Mapping[Kind, str] = {
    "confirmed breach": "{}能源消费量超过限额",
    "suspected breach": "{}能源消费量疑似超过限额",
    "cannot be judged": "{}能源消费量是否超限无法判定",
    "silent points": "计量点数据中断",
    "level changed": "{}年{}预警等级",
    "will break": "{}预计年末超过限额",
    "limit broken": "{}单位产品能耗超过限额",
    "limit probably broken": "{}单位产品能耗疑似超过限额",
    "limit cannot be judged": "{}单位产品能耗是否超限无法判定",
}
_LEVELS = {1: "一级（十分严峻）", 2: "二级（比较严峻）", 3: "三级（基本顺利）"}
_QUANTITIES = {"energy": "能耗", "co2": "碳排放"}
_TCE = "吨标准煤"


def alone_in_chinese(notice: Notice) -> tuple[str, str]:
    """Return a title of one line, and a body."""
    standing = notice.evidence.standing
    quantity = "" if standing is None else _QUANTITIES[standing.quantity]
    what = _WHAT[notice.kind].format(window_name(notice), quantity)
    if standing is not None:
        what += _LEVELS[standing.level or 3]
    title = f"{notice.unit.replace('target:', '目标')}：{what}"
    if notice.state == "firing":
        course = (
            f"自{_since(notice)}起，{rfc3339(notice.at)}判定；原因：{CAUSES[notice.began_by]}。"
        )
        return title, "".join([*_figures(notice), course])
    state = "confirmed" if is_confirmed(notice.kind, notice.evidence) else notice.state
    course = f"自{_since(notice)}起，{rfc3339(notice.at)}结束；原因：{CAUSES[notice.cause]}。"
    return f"{title}——{ENDINGS[state]}", "".join([*_figures(notice), course])


def _since(notice: Notice) -> str:
    """A breach's is the end of a quarter hour, which may not be over yet."""
    end = "截止的一刻钟" if notice.kind == "confirmed breach" else ""
    return rfc3339(notice.since) + end


def _figures(notice: Notice) -> list[str]:
    evidence = notice.evidence
    if evidence.held is not None:
        return limit_in_chinese(evidence.held)
    if evidence.landed is not None:
        return _of_landing(evidence.landed)
    if evidence.standing is not None:
        return _of_standing(evidence.standing)
    if evidence.judged is not None:
        return _of_window(evidence.judged)
    points = "、".join(point.point for point in evidence.silent[:5])
    return [f"无数据的计量点{len(evidence.silent)}个：{points}。"] if points else []


def _of_landing(landed: Landed) -> list[str]:
    quota = f"限额{number(landed.quota)}{_TCE}。预测不是判定。"
    if landed.projected is None:
        return [quota]
    end = landed.projected.year_end
    high = "上限未知" if end.high is None else number(end.high)
    return [
        f"{landed.year}年末预计{number(end.low)}至{high}{_TCE}（80%区间，期望{number(end.best)}），{quota}"
    ]


def _of_standing(standing: Standing) -> list[str]:
    unit = _TCE if standing.quantity == "energy" else "吨二氧化碳"
    used, allowed = number(standing.used.best), number(standing.allowed)
    return [
        f"已用{used}{unit}（最佳估计），至此允许{allowed}{unit}，全年目标{number(standing.amount)}{unit}。"
    ]


def _of_window(judged: Judged) -> list[str]:
    energy = judged.figures.get("energy")
    if energy is None or judged.limit is None:
        return []
    told = [
        f"能源消费量{_interval(energy)}，限额{number(judged.limit)}{_TCE}，{_over(energy, judged.limit)}。",
        f"实测时间占比{number(energy.share_measured * 100)}%。",
    ]
    if energy.unverified:
        told.append(f"所用系数未经核实（{'、'.join(energy.factors)}）。")
    return told


def _interval(figure: Figure) -> str:
    if figure.low == figure.high:
        return f"{number(figure.low)}{_TCE}"
    high = "上限未知" if figure.high is None else number(figure.high)
    return f"{number(figure.low)}至{high}{_TCE}（最佳估计{number(figure.best)}）"


def _over(figure: Figure, limit: int) -> str:
    low, best = _beside(figure.low - limit), _beside(figure.best - limit)
    if figure.low == figure.high:
        return low
    high = "上限未知" if figure.high is None else _beside(figure.high - limit)
    return f"{low}至{high}（最佳估计{best}）"


def _beside(difference: int) -> str:
    return f"{'低于' if difference < 0 else '超出'}限额{number(abs(difference))}{_TCE}"
