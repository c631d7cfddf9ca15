"""Every module is pure or a shell, by name; pure ones know no shell and read no clock."""

import ast
import tomllib
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent
PACKAGES = ("ingest", "processors", "alerts", "schemas")
CONFIGURATION = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
PURE: list[str] = next(
    contract["source_modules"]
    for contract in CONFIGURATION["importlinter"]["contracts"]
    if contract["id"] == "pure"
)
SHELL: list[str] = CONFIGURATION["weir"]["shell"]


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for name in PACKAGES for path in (ROOT / name).rglob("*.py")}


def entries_of(module: str, entries: list[str]) -> list[str]:
    """Return the entries that name `module`, itself or by a package that holds it."""
    return [entry for entry in entries if f"{module}.".startswith(f"{entry}.")]


def is_bare_package(path: Path) -> bool:
    """Say whether it is an `__init__.py` that says what the package is, and no more."""
    statements = ast.parse(path.read_text()).body
    return path.name == "__init__.py" and all(
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        for statement in statements
    )


def test_every_module_is_pure_or_a_shell() -> None:
    """Named in pyproject.toml exactly once: `source_modules` of the contract `pure`, or `shell`."""
    named = {
        module: len(entries_of(module, PURE + SHELL))
        for module, path in MODULES.items()
        if entries_of(module, PURE + SHELL) or not is_bare_package(path)
    }
    unnamed = sorted(module for module, count in named.items() if count == 0)
    assert not unnamed, f"name each in pyproject.toml as pure or as shell: {unnamed}"
    twice = sorted(module for module, count in named.items() if count > 1)
    assert not twice, f"named more than once in pyproject.toml: {twice}"


def test_every_name_has_its_module() -> None:
    """A name that outlives its file would be taken for a rule that is kept."""
    gone = sorted(entry for entry in PURE + SHELL if entry not in MODULES)
    assert not gone, f"named in pyproject.toml, but there is no such module: {gone}"


def test_the_core_knows_no_shell() -> None:
    """Shells know the core, never the other way round, not even by way of a third module."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    shells = {module for module in MODULES if entries_of(module, SHELL)}
    reached = {
        module: sorted(known)
        for module in MODULES
        if entries_of(module, PURE) and (known := graph.find_upstream_modules(module) & shells)
    }
    assert not reached


def test_only_shells_read_the_clock() -> None:
    """The files that ruff lets read the clock (TID251) are shells."""
    ignores = CONFIGURATION["ruff"]["lint"]["per-file-ignores"]
    may_read = {
        module_of(path)
        for pattern, rules in ignores.items()
        if "TID251" in rules and pattern.startswith(PACKAGES)
        for path in files_of(pattern)
    }
    assert may_read <= {module for module in MODULES if entries_of(module, SHELL)}


def files_of(pattern: str) -> set[Path]:
    """Return the files that a pattern of ours, `folder/{one,other}.py`, names and that exist."""
    folder, _, names = pattern.partition("/")
    stems = names.removesuffix(".py").strip("{}").split(",")
    return {path for stem in stems if (path := ROOT / folder / f"{stem}.py").exists()}
