"""Is this a release?  `make release-check` runs every check in turn and says which failed; nothing is changed.

Clean tree, one version everywhere, lint, types, tests, the documentation's strict build, and what `check.py` beside this
file tries of wheel and sdist.  A check that cannot be run counts as failed.

    python tests/install/release.py [--only tree,version,lint,types,tests,docs,install]
"""

import argparse
import configparser
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEST_PYTHON = ROOT / ".venv-test" / "bin" / "python"


def output(*command: object) -> tuple[int, str]:
    """Exit code of a command in the repository, and what it printed."""
    try:
        found = subprocess.run([str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    return found.returncode, found.stdout + found.stderr


def succeeds(*command: object) -> str:
    """A command's last lines where it fails."""
    code, said = output(*command)
    return "\n".join(said.strip().splitlines()[-20:]) or f"exit code {code}" if code else ""


def tree() -> str:
    """Nothing is changed, and nothing lies about that is neither committed nor ignored."""
    code, said = output("git", "status", "--porcelain")
    return said.strip() if code == 0 else said or "git status failed"


def versions(root: Path) -> dict[str, str | None]:
    """The version where it is said: metadata, package, citation, and the newest entry of the changelog."""
    config = configparser.ConfigParser()
    config.read(root / "setup.cfg")
    patterns = {
        "ufmflow/__init__.py": r'^__version__ = "([^"]+)"',
        "CITATION.cff": r"^version: (\S+)",
        "CHANGELOG.md": r"^## (\d[^ \n]*)",
    }
    found: dict[str, str | None] = {"setup.cfg": config["metadata"]["version"]}
    for name, pattern in patterns.items():
        match = re.search(pattern, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        found[name] = match[1] if match else None
    return found


def version(root: Path = ROOT) -> str:
    """One version, a number, and an entry of the changelog that is dated."""
    found = versions(root)
    if len(set(found.values())) != 1 or not re.fullmatch(r"\d+\.\d+\.\d+", str(found["setup.cfg"])):
        return ", ".join(f"{name} says {value}" for name, value in found.items())
    heading = re.search(r"^## \d.*$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    if heading is None or "unreleased" in heading[0]:
        return f"CHANGELOG.md: {heading[0] if heading else 'no entry'}; give the date of the release"
    return ""


CHECKS: dict[str, Callable[[], str]] = {
    "tree": tree,
    "version": version,
    "lint": lambda: succeeds("ruff", "check", "."),
    # From the tests' folder: the repository's own folders must not shadow the installed package.
    "types": lambda: succeeds(
        "env", "-C", "tests", TEST_PYTHON, "-m", "mypy", "-p", "ufmflow", "--config-file", ROOT / "pyproject.toml"
    ),
    "tests": lambda: succeeds(TEST_PYTHON, "-m", "pytest", "-q"),
    "docs": lambda: succeeds("make", "docs"),
    "install": lambda: succeeds(sys.executable, ROOT / "tests" / "install" / "check.py"),
}


def main() -> int:
    """Run the checks; exit code 1 when any fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default=",".join(CHECKS), help="checks to run, by commas")
    chosen = parser.parse_args().only.split(",")
    if unknown := [name for name in chosen if name not in CHECKS]:
        parser.error(f"--only: {unknown[0]!r} is unknown; choose among {', '.join(CHECKS)}")
    failed = []
    for name in chosen:
        begun = time.monotonic()
        problem = CHECKS[name]()
        print(f"{'FAILED' if problem else 'passed':>6}  {name} ({time.monotonic() - begun:.0f} s)", flush=True)
        if problem:
            failed.append(name)
            print("\n".join(f"        {line}" for line in problem.splitlines()), flush=True)
    print(f"not ready: {', '.join(failed)}" if failed else "ready for release")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
