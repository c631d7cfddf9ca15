"""Settings of retention: safe by default, and refused where they would make somebody look better."""

from pathlib import Path

import pytest

from schemas.retention import RetentionError, read_retention


def test_the_default_keeps_three_years_and_figures_for_ever() -> None:
    """What a figure of this year and the two before was made of is there; hours and days never go."""
    keep = read_retention().keep_days
    assert min(days for days in keep.model_dump().values() if days) >= 3 * 366
    assert (keep.hours, keep.day_windows) == (None, None)


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (
            "readings = 200\nrejections = 100",
            "rejections must be kept at least as long as readings",
        ),
        ("ticks = 100", "ticks must be kept at least as long as readings"),
        ("readings = 30", "keep_days.readings: Input should be greater than or equal to 60"),
        ("reading = 300", "keep_days.reading: Extra inputs are not permitted"),
        ("readings = ", "Invalid value"),
    ],
)
def test_what_would_take_more_than_it_may_is_refused(
    tmp_path: Path, said: str, complaint: str
) -> None:
    """Rejected claims lift the upper bound of what was accepted: they may not go first."""
    path = tmp_path / "retention.toml"
    path.write_text(f'version = "test"\n[keep_days]\n{said}\n')
    with pytest.raises(RetentionError, match=complaint):
        read_retention(str(path))
