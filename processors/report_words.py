"""What the words of the tables are called on a page, and what to do about a rejection."""

import re

from processors.report_document import Mark, Say, Tone

QUANTITIES = {
    "energy": ("energy, equivalent value", "综合能耗（当量值）"),
    "co2": ("CO2", "二氧化碳排放"),
    "electricity": ("electricity", "电力"),
    "raw_coal": ("raw coal", "原煤"),
    "heat": ("heat", "热力"),
    "output": ("output", "产品产量"),
    "material": ("materials", "原料"),
    "process": ("process emissions of CO2", "工业生产过程排放"),
    "purchased": ("electricity bought less sold", "净购入电力"),
}
ENERGIES = {
    "gross": ("gross", "综合能耗（未扣减）"),
    "net of feedstock": ("net of feedstock", "扣除原料用能"),
    "net of non-fossil": ("net of non-fossil energy", "扣除非化石能源"),
    "net of feedstock and non-fossil": (
        "net of feedstock and non-fossil energy",
        "扣除原料用能和非化石能源",
    ),
    "by the product standard": ("by the product standard's own rules", "按产品限额标准口径"),
}
PURPOSES = {
    "gross": ("the unit's annual quota", "单位年度能耗指标"),
    "net of feedstock": ("a region's total without raw-material use", "地区总量（不计原料用能）"),
    "net of non-fossil": (
        "a region's total without renewable and nuclear energy",
        "地区总量（不计非化石能源）",
    ),
    "net of feedstock and non-fossil": (
        "dual control of energy: total and intensity",
        "能耗双控：总量和强度",
    ),
}
BASES = {"equivalent value": ("equivalent value", "当量值")}
FORMS = {
    "feedstock": ("feedstock", "原料用能"),
    "self-generation": ("self-generation", "自发自用"),
    "green power": ("green power", "绿电交易"),
    "certificate": ("certificates", "绿证"),
}
TERMS = {
    "fuel": ("fuel", "燃料燃烧"),
    "electricity": ("electricity, bought less sold", "净购入电力"),
    "heat": ("heat, bought less sold", "净购入热力"),
    "process": ("process", "工业生产过程"),
    "opening": ("declared for the time before the points", "期初申报值"),
}
"""What CO2 is the sum of."""
STANDINGS: dict[str, tuple[str, str, Tone]] = {
    "confirmed breach": ("confirmed breach", "确认超标", "breach"),
    "suspected breach": ("suspected breach", "疑似超标", "suspected"),
    "cannot be judged": ("cannot be judged", "无法判定", "unknown"),
    "nothing told yet": ("nothing told yet", "尚无数据", "unknown"),
    "no quota": ("no quota", "未下达指标", "plain"),
    "within quota": ("within quota so far", "目前未超标", "well"),
    "within budget": ("within budget so far", "目前未超预算", "well"),
}
"""Worst first."""
REASONS = {
    "opening unknown": ("the opening balance is unknown", "期初累计值未知"),
    "missing data": ("data are missing", "数据缺失"),
    "other factor view": (
        "the budget is meant in another view of the electricity factor",
        "预算所用电力排放因子口径不同",
    ),
    "ambiguous data": ("the data allow several amounts", "数据存在多种可能"),
    "remainder unknown": ("the remainder outside key units is unknown", "重点单位以外部分未知"),
    "interval too wide": ("the interval is too wide", "区间过宽"),
    "nothing allowed yet": ("nothing is allowed yet", "尚无允许量"),
    "no level rule of the day": ("no level rule of the day", "当日无等级规则"),
}
LANDINGS = {
    "broken": ("broken already", "已超限"),
    "will break": ("will break", "预计必将超限"),
    "may break": ("may break", "可能超限"),
    "on track": ("on track", "预计不超限"),
    "cannot be said": ("cannot be said", "无法预测"),
}
VERDICTS = {
    "PASS": ("PASS", "未超标（PASS）"),
    "FAIL": ("FAIL", "超标（FAIL）"),
    "UNDECIDABLE": ("UNDECIDABLE", "无法判定（UNDECIDABLE）"),
}
COVERS = {
    "key units": ("key units", "重点用能单位"),
    "whole society": ("whole society", "全社会"),
}
WINDOWS = {"year": ("year", "年"), "month": ("month", "月"), "day": ("day", "日")}
GAPS = {
    "missing periods": ("missing periods", "时段数据缺失"),
    "register event": ("register event", "表码异常"),
    "before the first reading": ("before the first reading", "首次读数之前"),
    "gap, amount known": ("gap, amount known", "缺口，用量已知"),
    "gap, amount in bounds": ("gap, amount in bounds", "缺口，用量有上下限"),
    "silent": ("silent until now", "至今无数据"),
}
REJECTIONS = {
    "unknown point": (
        "Register the meter, or correct its name in the sender.",
        "在登记表中登记该计量点，或更正发送端的名称。",
    ),
    "unknown statement": (
        "Send the statements that the registry names for this point.",
        "按登记表为该点登记的报数方式发送。",
    ),
    "wrong unit of measure": (
        "Send the unit of measure that is registered.",
        "使用登记的计量单位。",
    ),
    "outside validity": (
        "Correct the point's dates in the registry, or the sender's clock.",
        "更正登记的有效期，或校准发送端时钟。",
    ),
    "future": ("Set the sender's clock.", "校准发送端时钟。"),
    "too old": (
        "Ask the regulator to open a back-fill for these days, then send them again.",
        "请主管部门开放补录后重新报送。",
    ),
    "off grid": (
        "Send periods that begin where the registry says.",
        "时段起点须与登记的起点一致。",
    ),
    "negative": (
        "Find out why the meter ran backwards; send the corrected value with a higher revision.",
        "查明负值原因，以更高修订号报送更正值。",
    ),
    "beyond dial": (
        "Check the number of digits in the registry and the decimal point in the sender.",
        "核对登记的表码位数与发送端小数点。",
    ),
    "faster than rated": (
        "Check the multiplier and the rated maximum; correct the value or the registry.",
        "核对倍率与额定上限，更正读数或登记。",
    ),
}
KINDS = {
    "confirmed breach": ("confirmed breach", "确认超标"),
    "suspected breach": ("suspected breach", "疑似超标"),
    "cannot be judged": ("cannot be judged", "无法判定"),
    "silent points": ("silent points", "计量点无数据"),
    "firing": ("firing", "已触发"),
    "pending": ("pending", "待定"),
    "critical": ("critical", "严重"),
    "warning": ("warning", "警告"),
    "info": ("info", "提示"),
}
"""Of alerts: what, state and severity."""
REJECTED = {
    "unknown point": ("unknown point", "未登记的计量点"),
    "unknown statement": ("unknown statement", "未登记的报数方式"),
    "wrong unit of measure": ("wrong unit of measure", "计量单位不符"),
    "outside validity": ("outside validity", "不在有效期内"),
    "future": ("future", "时间在未来"),
    "too old": ("too old", "超过补报期限"),
    "off grid": ("off grid", "时段起点不符"),
    "negative": ("negative", "负值"),
    "beyond dial": ("beyond dial", "超出表码位数"),
    "faster than rated": ("faster than rated", "超过额定上限"),
}
_OTHERWISE = (
    "Read the reason, correct the message, send it again.",
    "按原因更正报文后重新发送。",
)


def word(say: Say, words: dict[str, tuple[str, str]], key: str) -> str:
    """What a word of the tables is called; itself where it has no other name."""
    return say(*words.get(key, (key, key)))


def place(say: Say, name: str) -> str:
    """A region or industry, `510400 Panzhihua (攀枝花)`, in the language; scopes joined by ` + ` each for itself."""
    return " + ".join(
        _BOTH.sub(lambda found: say(found[1] + found[2], found[1] + found[3]), one)
        for one in name.split(" + ")
    )


_BOTH = re.compile(r"^(\S+ |)(.+) \((.+)\)$")


def standing(say: Say, key: str) -> Mark:
    """A standing with its tone."""
    english, chinese, tone = STANDINGS.get(key, (key, key, "plain"))
    return Mark(say(english, chinese), tone)


def urgency(key: str) -> int:
    """Place in the order of what needs attention first."""
    return list(STANDINGS).index(key) if key in STANDINGS else len(STANDINGS)


def remedy(say: Say, reason: str) -> str:
    """What to do so that it is taken next time."""
    return say(*REJECTIONS.get(reason, _OTHERWISE))


RULES_EN = (
    "Every amount is an interval: what was really used lies between low and high, whatever the missing readings would have"
    " said; best is an estimate and decides nothing but the word “suspected”. Amounts of each carrier are summed as whole"
    " numbers of 10⁻⁶ of the unit of measure and converted once by the factor named. FAIL: even low is above the quota."
    " PASS: not even high is. Else it cannot be judged. The arithmetic is schemas/RULES.md, sections 1 to 6; whoever has that page, the"
    " registry, the factor pack and the readings can work every figure out again. A log record is generation/partition/offset/position."
)
RULES_ZH = (
    "每个数值都是区间：无论缺失读数为何，实际用量都在下限与上限之间；最佳估计仅用于“疑似”判断。"
    "各能源品种按计量单位的 10⁻⁶ 取整数累加，再按所列系数折算一次。下限超过指标为超标（FAIL），"
    "上限未超过指标为未超标（PASS），否则无法判定。算法见 schemas/RULES.md 第 1 至 6 节；"
    "凭该文件、登记表、系数包与原始读数即可复算任一数值。日志位置：代/分区/偏移/序。"
)
REGION_RULES_EN = (
    "A region's figure is the sum of its key units, hour by hour, of what each had told by that hour; one whose own time is behind"
    " counts with its low and leaves high unknown. Nothing is added for units outside the registry. The arithmetic is schemas/RULES.md, sections"
    " 4, 6 and 9."
)
REGION_RULES_ZH = (
    "地区数值为辖区重点用能单位逐小时汇总：每个单位取该小时前最近一次告知值；时间落后的单位按下限计入，上限记为不明。"
    "不含登记以外的单位。算法见 schemas/RULES.md 第 4、6、9 节。"
)
ROUNDED_EN = (
    "On the page, low is rounded down and high up, to three decimals; the workbook, the CSV files and the evidence keep all six."
    " Times are business time (+08:00)."
)
ROUNDED_ZH = "页面上下限向外取三位小数；Excel、CSV 与证据表保留六位小数。时间为业务时间（+08:00）。"
