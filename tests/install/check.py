"""Does what is committed install anywhere?  `make check-install` builds it and installs it into clean environments.

- wheel and sdist are built from the committed files, and hold all of the packages' files and nothing else;
- each is installed, for every Python from 3.11 on that is here, into an environment of its own that has neither torch
  nor cupy nor dask; there `import ufmflow` is fast, `ufmflow doctor` is well, and `ufmflow reproduce --quick` confirms;
- every extra resolves;
- with the oldest versions that setup.cfg allows, the tests of the core pass.

    python tests/install/check.py [--only contents,installs,extras,bounds] [--out FILE.json]

Needs uv (pip install uv) and the package index; nothing is left behind.
"""

import argparse
import configparser
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
HEAVY = ("torch", "cupy", "dask", "distributed", "h5py")
LAYERS = ("theory", "numerics", "proofs")
IMPORT_SECONDS = 0.5
# What an sdist has besides the packages.
BESIDE = ("PKG-INFO", "README.md", "LICENSE", "setup.cfg", "pyproject.toml", "ufmflow.egg-info", "tests")
# Tests of the core that need no extra, of each layer and of files and figures that other libraries read and draw.
CORE_TESTS = (
    "tests/theory/test_attributes.py", "tests/theory/test_system.py", "tests/theory/test_closed_forms.py",
    "tests/theory/test_persistence.py", "tests/theory/test_kernels.py", "tests/numerics/test_config.py",
    "tests/numerics/test_simulate.py", "tests/numerics/test_riccati.py", "tests/numerics/test_certified.py",
    "tests/numerics/test_modes.py", "tests/numerics/test_trajectory.py", "tests/numerics/test_runs.py",
    "tests/numerics/test_measures.py", "tests/numerics/test_plots.py", "tests/numerics/test_sweep_design.py",
    "tests/numerics/test_ensemble.py", "tests/proofs/test_checker.py", "tests/test_command_line.py",
)  # fmt: skip
TEST_TOOLS = ("pytest", "pytest-xdist", "hypothesis", "array-api-strict")


class Failed(Exception):
    """A check did not hold."""


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints; `Failed` with its last words where it fails."""
    words = [str(word) for word in command]
    found = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if found.returncode:
        last = "\n".join((found.stdout + found.stderr).splitlines()[-30:])
        raise Failed(f"{' '.join(words)} exited with {found.returncode}:\n{last}")
    return found.stdout


def uv(*arguments: object, **environment: str) -> str:
    return run("uv", *arguments, **environment)


def pip(venv: Path, *arguments: object) -> str:
    return uv("pip", "install", "--python", venv / "bin" / "python", *arguments)


def committed(folder: Path) -> Path:
    """The committed files alone: what others have in the making is not released."""
    archive = folder / "source.tar"
    run("git", "-C", ROOT, "archive", "--output", archive, "HEAD")
    with tarfile.open(archive) as files:
        files.extractall(folder / "source", filter="data")
    return folder / "source"


def expected(source: Path) -> set[str]:
    """The packages' files as an installation has them."""
    files = [
        path.relative_to(source) for top in (*LAYERS, "ufmflow") for path in (source / top).rglob("*") if path.is_file()
    ]
    return {str(path) if path.parts[0] == "ufmflow" else f"ufmflow/{path}" for path in files}


def check_contents(source: Path, folder: Path) -> tuple[Path, Path]:
    """Build wheel and sdist, and compare what they hold with the source; their paths."""
    uv("build", "--quiet", "--out-dir", folder / "dist", source)
    wheel, sdist = next((folder / "dist").glob("*.whl")), next((folder / "dist").glob("*.tar.gz"))
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    compare("wheel", held, expected(source))
    with tarfile.open(sdist) as files:
        names = [Path(member.name) for member in files.getmembers() if member.isfile()]
    inside = {Path(*name.parts[1:]) for name in names}
    packages = {
        str(p) if p.parts[0] == "ufmflow" else f"ufmflow/{p}" for p in inside if p.parts[0] in (*LAYERS, "ufmflow")
    }
    compare("sdist", packages, expected(source))
    if stray := sorted({p.parts[0] for p in inside} - {*LAYERS, "ufmflow", *BESIDE}):
        raise Failed(f"sdist holds {', '.join(stray)} at its top")
    return wheel, sdist


def compare(what: str, found: set[str], wanted: set[str]) -> None:
    """Refuse a package that lacks a file, or has one more."""
    if found != wanted:
        raise Failed(
            f"{what} lacks {sorted(wanted - found)[:5]} and has {sorted(found - wanted)[:5]} beyond the source"
        )


def pythons() -> dict[str, str | None]:
    """Interpreters that are here, by version."""
    found: dict[str, str | None] = {}
    for version in PYTHONS:
        try:
            found[version] = uv("python", "find", "--no-python-downloads", "--system", version).strip()
        except Failed:
            found[version] = None
    return found


def check_install(package: Path, python: str, venv: Path) -> dict[str, object]:
    """Install into a clean environment and use it there."""
    uv("venv", "--quiet", "--python", python, venv)
    pip(venv, "--quiet", package)
    here, own = venv / "bin" / "python", {"PYTHONPATH": "", "MPLCONFIGDIR": str(venv / "mpl")}
    there = run(
        here, "-c", f"import importlib.util as u; print([m for m in {HEAVY} if u.find_spec(m)])", cwd=venv, **own
    )
    if there.strip() != "[]":
        raise Failed(f"the core brings {there.strip()}")
    timed = "import time; t = time.process_time(); import ufmflow; print(time.process_time() - t)"
    seconds = min(float(run(here, "-c", timed, cwd=venv, **own)) for _ in range(3))
    if seconds > IMPORT_SECONDS:
        raise Failed(f"import ufmflow takes {seconds:.2f} s")
    command = venv / "bin" / "ufmflow"
    doctor = json.loads(run(command, "doctor", "--json", cwd=venv, **own))
    check = json.loads(run(command, "reproduce", "--quick", "--json", "--out", venv / "report", cwd=venv, **own))
    if not (venv / "report" / "index.html").stat().st_size:
        raise Failed("the report is empty")
    run(here, "-m", "ufmflow", "--version", cwd=venv, **own)
    return {"import_seconds": seconds, "share_rmse_mean": check["share_rmse_mean"],
            "self_check_seconds": sum(outcome["seconds"] for outcome in doctor["self_check"])}  # fmt: skip


def check_extras(wheel: Path, source: Path, folder: Path) -> list[str]:
    """Every extra resolves beside the core, under the project's constraints."""
    config = configparser.ConfigParser()
    config.read(source / "setup.cfg")
    venv = folder / "extras"
    uv("venv", "--quiet", "--python", sys.executable, venv)
    extras = list(config["options.extras_require"])
    for extra in extras:
        pip(venv, "--dry-run", "--constraint", source / "constraints.txt", f"{wheel}[{extra}]")
    return extras


def check_bounds(wheel: Path, source: Path, folder: Path, python: str) -> dict[str, str]:
    """The core's tests pass with the oldest versions that are allowed; these versions."""
    venv = folder / "bounds"
    config = configparser.ConfigParser()
    config.read(source / "setup.cfg")
    core = config["options"]["install_requires"].split()
    uv("venv", "--quiet", "--python", python, venv)
    # Named one by one: to uv only what stands on its command line is direct.
    pip(venv, "--quiet", "--resolution", "lowest-direct", wheel, *core)
    listed = json.loads(uv("pip", "list", "--format", "json", "--python", venv / "bin" / "python"))
    versions = {package["name"]: package["version"] for package in listed}
    above_their_bounds(core, versions)
    pip(venv, "--quiet", *TEST_TOOLS)
    tests = folder / "tests"  # away from the source, whose folders would be found before the installed package
    for name in ("tests", "pyproject.toml", "setup.cfg", "CITATION.cff"):
        run("cp", "-r", source / name, tests.parent)
    run(venv / "bin" / "python", "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *CORE_TESTS, cwd=folder)
    return versions


def above_their_bounds(core: list[str], versions: dict[str, str]) -> None:
    """Refuse an environment that is not the oldest: its tests would say nothing about bounds."""
    for requirement in core:
        name, _, bound = requirement.partition(">=")
        if versions[name].split(".")[:2] != f"{bound}.0".split(".")[:2]:
            raise Failed(f"{name} {versions[name]} was tried in place of its lower bound {bound}")


def checks(only: list[str]) -> Iterator[tuple[str, object]]:
    """Each check and what it found; the first that fails ends them."""
    with tempfile.TemporaryDirectory(prefix="ufmflow-install-") as made:
        folder = Path(made)
        source = committed(folder)
        wheel, sdist = check_contents(source, folder)
        yield "contents", {"wheel": wheel.name, "sdist": sdist.name, "files": len(expected(source))}
        here = pythons()
        yield "pythons", here
        if "installs" in only:
            for version, python in here.items():
                for package in (wheel, sdist) if python else ():
                    kind = "wheel" if package is wheel else "sdist"
                    yield f"{kind} on {version}", check_install(package, str(python), folder / f"{kind}-{version}")
        if "extras" in only:
            yield "extras", check_extras(wheel, source, folder)
        if "bounds" in only:
            yield "bounds", check_bounds(wheel, source, folder, here[PYTHONS[0]] or sys.executable)


def main() -> int:
    """Print each check as it ends; exit code 1 at the first that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="contents,installs,extras,bounds", help="checks to run, by commas")
    parser.add_argument("--out", type=Path, help="write what was found to this JSON file")
    arguments = parser.parse_args()
    found: dict[str, object] = {"date": datetime.now(UTC).date().isoformat(), "platform": platform.platform()}
    begun = time.monotonic()
    try:
        for name, result in checks(arguments.only.split(",")):
            found[name] = result
            print(f"{time.monotonic() - begun:6.0f} s  {name}: {json.dumps(result)}", flush=True)
    except Failed as failure:
        print(f"FAILED: {failure}", file=sys.stderr)
        return 1
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
