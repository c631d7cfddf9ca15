"""The section of a unit's report that shows what its CO2 is the sum of."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from processors.report_document import Column, Say, Section, Table
from processors.report_rows import Emission
from processors.report_words import TERMS, word


def _ends(one: Emission) -> tuple[Decimal | None, ...]:
    return one.low, one.best, one.high


def emissions_section(emissions: Sequence[Emission], say: Say) -> Iterator[Section]:
    """A section where there is anything to show."""
    if not emissions:
        return
    yield Section(
        say("CO2 by its terms", "二氧化碳排放构成"),
        say(
            "Over the report's span. Electricity and heat are what is bought less what is sold, electricity by the view that its factor names.",
            "本报告期间。电力、热力为净购入量，电力按所列因子口径核算。",
        ),
        (
            Table(
                "emissions",
                (
                    Column(say("Term", "构成")),
                    Column(say("Low", "下限"), exact=True),
                    Column(say("Best", "最佳估计"), exact=True),
                    Column(say("High", "上限"), exact=True),
                    Column(say("Unit of measure", "计量单位")),
                    Column(say("Rests on", "依据条目")),
                    Column(say("Status", "状态")),
                ),
                tuple(
                    (
                        word(say, TERMS, one.term),
                        *(say("unknown", "未知") if end is None else end for end in _ends(one)),
                        "t",
                        ", ".join(one.factors or ()),
                        say("unverified", "未核实")
                        if one.unverified
                        else say("verified", "已核实"),
                    )
                    for one in emissions
                ),
                say("Nothing emits.", "无排放。"),
            ),
        ),
    )
