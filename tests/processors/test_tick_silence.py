"""A partition without ticks is noticed, however old the ticks' own time is."""

from processors.tick_silence import Silence, TickSilence


def test_silence_runs_from_the_last_newer_tick() -> None:
    """By the worker's clock; a tick that comes again is none."""
    silence = TickSilence()
    assert silence.longest(now=5.0) is None
    silence.heard({0: 1_000, 1: 1_000}, now=10.0)
    silence.heard({0: 2_000, 1: 1_000}, now=70.0)
    assert silence.longest(now=100.0) == Silence(1, 90.0)
    silence.heard({1: 2_000}, now=101.0)
    assert silence.longest(now=110.0) == Silence(0, 40.0)


def test_what_is_taken_anew_is_waited_for_from_then_on() -> None:
    """A partition that was ours before goes on waiting; one that is another's is not waited for."""
    silence = TickSilence()
    silence.own({0: 1_000, 1: 1_000}, now=0.0)
    silence.own({1: 1_000, 2: 1_000}, now=50.0)
    assert silence.longest(now=60.0) == Silence(1, 60.0)
    silence.heard({1: 2_000}, now=60.0)
    assert silence.longest(now=60.0) == Silence(2, 10.0)
    silence.own({}, now=60.0)
    assert silence.longest(now=60.0) is None
