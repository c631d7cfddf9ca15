"""The section of a unit's report that shows its energies side by side, each with its purpose and what it rests on."""

from collections.abc import Iterable
from decimal import Decimal

from processors.report_document import Cell, Column, Say, Section, Table
from processors.report_numbers import day
from processors.report_rows import Deduction, Energy
from processors.report_words import BASES, ENERGIES, FORMS, PURPOSES, QUANTITIES, word

_ON_PAGE = 24


def energies_section(
    energies: Iterable[Energy], deducted: Iterable[Deduction], say: Say
) -> Section:
    """Newest first; what is deducted is below zero, end by end."""
    return Section(
        say("Energies, each for its purpose", "各口径综合能耗"),
        say(
            "A figure is held only against the limit of its own purpose. Net figures deduct what admitted evidence proves, as regions do, before a"
            " cap on certificates; product limits know no deductions. The year and the months as the last full hour of the regions had them.",
            "各口径仅用于各自用途，不得混比。扣减口径按已采信凭证扣减（与地区口径一致，未计绿证上限）；产品限额不作扣减。年、月数值以地区最近整点核算为准。",
        ),
        (_figures(energies, say), _deductions(deducted, say)),
    )


def _ends(say: Say) -> tuple[Column, ...]:
    names = (say("Low", "下限"), say("Best", "最佳估计"), say("High", "上限"))
    return tuple(Column(name, exact=True) for name in names)


def _figures(energies: Iterable[Energy], say: Say) -> Table:
    return Table(
        "energies",
        (
            Column(say("Window", "期间")),
            Column(say("Figure", "口径")),
            Column(say("For", "用途")),
            *_ends(say),
            Column(say("Unit of measure", "计量单位")),
            Column(say("Basis", "折算依据")),
            Column(say("Rests on", "依据条目")),
            Column(say("Status", "状态")),
        ),
        tuple(
            (
                _window(one, say),
                word(say, ENERGIES, one.energy) + (f": {one.line}" if one.line else ""),
                one.indicator or word(say, PURPOSES, one.energy),
                *_amounts(one, say),
                one.unit_of_measure,
                word(say, BASES, one.basis),
                ", ".join(one.rests_on),
                _status(one, say),
            )
            for one in energies
        ),
        say("Nothing was told of it yet.", "尚无告知数据。"),
        _ON_PAGE,
    )


def _deductions(deducted: Iterable[Deduction], say: Say) -> Table:
    return Table(
        "deducted",
        (
            Column(say("Window", "期间")),
            Column(say("For the figure", "用于口径")),
            Column(say("Deducted", "扣减类别")),
            *_ends(say),
            Column(say("Evidence", "凭证")),
            Column(say("Rests on", "依据条目")),
            Column(say("Status", "状态")),
        ),
        tuple(
            (
                _window(line, say),
                word(say, ENERGIES, line.energy),
                f"{word(say, FORMS, line.form)}, {word(say, QUANTITIES, line.carrier)}",
                *_amounts(line, say),
                ", ".join(line.evidence),
                ", ".join(line.rests_on),
                say("unverified", "未核实") if line.unverified else say("verified", "已核实"),
            )
            for line in deducted
        ),
        say("No admitted evidence: nothing is deducted.", "无已采信凭证：不作扣减。"),
        _ON_PAGE,
    )


def _window(one: Energy | Deduction, say: Say) -> str:
    return (
        say("year", "年") + f" {day(one.starts)[:4]}"
        if one.window_kind == "year"
        else day(one.starts)[:7]
    )


def _amounts(one: Energy | Deduction, say: Say) -> tuple[Cell, ...]:
    ends: tuple[Decimal | None, ...] = (one.low, one.best, one.high)
    return tuple(say("unknown", "未知") if end is None else end for end in ends)


def _status(one: Energy, say: Say) -> str:
    found = say("unverified", "未核实") if one.unverified else say("verified", "已核实")
    return (
        found
        if one.contested is None
        else f"{found}; {say('contested', '存在争议')}: {one.contested}"
    )
