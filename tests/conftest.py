"""What holds for every test: hypothesis' profiles, and that no test is left out in silence."""

import os

import pytest
from hypothesis import HealthCheck, settings

# How fast examples are drawn says more about the machine than about the law.
SUPPRESSED = [HealthCheck.too_slow]

# The same examples each time, so that `make test` says the same of the same code.
settings.register_profile(
    "test",
    max_examples=500,
    derandomize=True,
    deadline=None,
    suppress_health_check=SUPPRESSED,
)
# New ground at each run; what it finds is kept in .hypothesis and tried first the next time.
settings.register_profile(
    "laws",
    max_examples=10_000,
    deadline=None,
    print_blob=True,
    suppress_health_check=SUPPRESSED,
)
# Enough to bring each mutation down; what is not found here is not held.
settings.register_profile(
    "mutants",
    max_examples=300,
    derandomize=True,
    deadline=None,
    suppress_health_check=SUPPRESSED,
)
PROFILE = os.environ.get("WEIR_LAWS") or "test"
settings.load_profile(PROFILE)


def left_out(reporter: pytest.TerminalReporter) -> list[str]:
    """Say how many tests did not run, or were not meant to pass: "2 skipped", ..."""
    if os.environ.get("WEIR_ALLOW_SKIP") == "1":
        return []
    outcomes = ["skipped", "xfailed", "xpassed"]
    if PROFILE != "laws":  # `make laws` selects the laws, and only that
        outcomes.append("deselected")
    counts = {outcome: len(reporter.stats.get(outcome, [])) for outcome in outcomes}
    return [f"{count} {outcome}" for outcome, count in counts.items() if count]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run in which a test was left out: what did not run shows nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if session.exitstatus == pytest.ExitCode.OK and reporter and left_out(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say why a run without a failed test failed."""
    if left := left_out(terminalreporter):
        terminalreporter.write_line(
            f"The run fails: {', '.join(left)}. (A developer may set WEIR_ALLOW_SKIP=1.)", red=True
        )
