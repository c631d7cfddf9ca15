"""A year of a plant that never was, in the form of the real file; one seed is one file.

    python tests/data/synthetic_year.py year.csv

As in `steel_industry_2018.csv`: a byte-order mark, CRLF, day/month/year, labels that name the end of
the quarter hour, the row of 24:00 labelled 00:00 of the day that ends, two decimals of kWh.
"""

import random
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

YEAR, SEED = 2018, 2018
HEADER = (
    "date,Usage_kWh,Lagging_Current_Reactive.Power_kVarh,Leading_Current_Reactive_Power_kVarh,"
    "CO2(tCO2),Lagging_Current_Power_Factor,Leading_Current_Power_Factor,NSM,WeekStatus,"
    "Day_of_week,Load_Type"
)


def rows(seed: int = SEED) -> Iterator[str]:
    """The file's lines without the header."""
    drawn = random.Random(seed)
    day = date(YEAR, 1, 1)
    while day.year == YEAR:
        weekend = day.weekday() > 4
        for quarter in range(1, 97):
            hour, minute = divmod(quarter % 96 * 15, 60)
            works = 30 <= quarter < 78 and not weekend
            hundredths = int(drawn.random() * (14_000 if works else 600)) + 200
            label = f"{day.day}/{day.month}/{day.year} {hour:02d}:{minute:02d}"
            kind = "Weekend" if weekend else "Weekday"
            load = "Maximum_Load" if works else "Light_Load"
            kwh = f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
            nsm = hour * 3_600 + minute * 60
            yield f"{label},{kwh},0,0,0,100,100,{nsm},{kind},{day:%A},{load}"
        day += timedelta(days=1)


def write(path: Path, seed: int = SEED) -> Path:
    """Write the file; returns where."""
    text = "\r\n".join([HEADER, *rows(seed), ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]))
