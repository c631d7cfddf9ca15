"""The run itself: a test that is left out fails it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent / "conftest.py"


def run(folder: Path, body: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run pytest over one file under our conftest; its exit status and what it printed."""
    shutil.copy(CONFTEST, folder)
    (folder / "test_it.py").write_text(f"import pytest\n\n{body}\n")
    (folder / "pytest.ini").write_text("[pytest]\n")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WEIR_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(folder)],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


PASSES = "def test_passes(): pass\n"
SKIPPED = PASSES + "def test_skips(): pytest.skip('no server')"


@pytest.mark.parametrize(
    ("body", "arguments", "said"),
    [
        pytest.param(SKIPPED, [], "1 skipped", id="skipped"),
        pytest.param(
            PASSES + "@pytest.mark.xfail\ndef test_wrong(): assert False",
            [],
            "1 xfailed",
            id="expected to fail",
        ),
        pytest.param(
            PASSES + "@pytest.mark.xfail\ndef test_right(): pass",
            [],
            "1 xpassed",
            id="expected to fail and passes",
        ),
        pytest.param(
            PASSES + "def test_other(): pass", ["-k", "passes"], "1 deselected", id="deselected"
        ),
    ],
)
def test_a_test_left_out_fails_the_run(
    tmp_path: Path, body: str, arguments: list[str], said: str
) -> None:
    """Whatever the reason, and though all that ran has passed."""
    status, printed = run(tmp_path, body, *arguments)
    assert status == pytest.ExitCode.TESTS_FAILED
    assert f"The run fails: {said}." in printed


def test_a_run_in_which_every_test_passes_passes(tmp_path: Path) -> None:
    """The rule above fails nothing else."""
    assert run(tmp_path, PASSES)[0] == pytest.ExitCode.OK


def test_a_developer_may_leave_tests_out(tmp_path: Path) -> None:
    """By saying so in the environment."""
    assert run(tmp_path, SKIPPED, WEIR_ALLOW_SKIP="1")[0] == pytest.ExitCode.OK


def test_the_laws_may_be_selected_but_not_skipped(tmp_path: Path) -> None:
    """`make laws` runs the laws alone; none of them may be left out."""
    chosen, _ = run(tmp_path, SKIPPED, "-k", "passes", WEIR_LAWS="laws")
    assert chosen == pytest.ExitCode.OK
    skipped, _ = run(tmp_path, SKIPPED, WEIR_LAWS="laws")
    assert skipped == pytest.ExitCode.TESTS_FAILED
