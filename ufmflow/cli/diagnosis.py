"""The verb that tells what an installation has, and whether it finds known answers."""

from typing import Any

import typer

from .options import Json, Quiet
from .output import Screen


def doctor(as_json: Json = False, quiet: Quiet = False) -> None:
    """Tell what is installed, and whether known answers are found.

    Packages, devices, BLAS threads, folders; and a self-check of some seconds, with exit code 1 where it fails.

    \b
    Examples:
      ufmflow doctor
      ufmflow doctor --json > installation.json
    """
    from ..numerics.environment import environment
    from ..proofs.self_check import self_check

    screen = Screen(as_json, quiet)
    about, outcomes = environment(), self_check()
    wrong = [name for name, package in about["packages"].items() if not package["fits"]]
    healthy = not wrong and not any(outcome.problem for outcome in outcomes)
    lines = [*_packages_lines(about), *_machine_lines(about), "", "known answers:"]
    lines += [
        f"  {'FAILED' if o.problem else 'found':>6}  {': '.join(filter(None, (o.name, o.problem)))} ({o.seconds:.1f} s)"
        for o in outcomes
    ]
    lines += ["", "all is well" if healthy else f"not well: {'; '.join(_ills(wrong, outcomes))}"]
    checks = [outcome.to_dict() for outcome in outcomes]
    screen.show(about | {"self_check": checks, "healthy": healthy}, lines)
    if not healthy:
        raise typer.Exit(1)


def _ills(wrong: list[str], outcomes: list[Any]) -> list[str]:
    return [f"{name} is missing or too old" for name in wrong] + [o.name for o in outcomes if o.problem]


def _packages_lines(about: dict[str, Any]) -> list[str]:
    lines = [f"Python {about['python']}, {about['platform']}"]
    lines += [f"  {name:<18} {_version(package)}" for name, package in about["packages"].items()]
    for extra, packages in about["extras"].items():
        missing = [f"{name} ({_version(package)})" for name, package in packages.items() if not package["fits"]]
        there = ", ".join(f"{name} {package['installed']}" for name, package in packages.items() if package["fits"])
        state = there if not missing else f"not installed: {', '.join(missing)}; pip install 'ufmflow[{extra}]'"
        lines.append(f"  extra {extra:<12} {state}")
    return lines


def _version(package: dict[str, Any]) -> str:
    if package["installed"] is None:
        return f"missing, needs {package['needs'] or 'any'}"
    return package["installed"] if package["fits"] else f"{package['installed']}, needs {package['needs']}"


def _machine_lines(about: dict[str, Any]) -> list[str]:
    devices, blas = about["devices"], about["blas"]
    lines = ["", f"cpu: {devices['cpu']['cores']} cores, {devices['cpu']['free_gib']:.1f} GiB free"]
    lines += [
        f"gpu: {gpu['name']}, driver {gpu['driver']}, {_gib(gpu['free_gib'])} of {_gib(gpu['total_gib'])} free"
        for gpu in devices["gpus"]
    ]
    lines.append(f"cuda: {devices['cuda'].removeprefix('device: ')}")
    lines.append(f"blas: {'; '.join(blas['libraries'])}; {blas['advice']}")
    compiler = about["compiler"]
    lines.append(f"C compiler: {compiler or 'none, so ensembles run in NumPy, which is slower'}")
    lines += [
        f"{name}: {folder['path']}, {'' if folder['writable'] else 'NOT '}writable, {_gib(folder['free_gib'])} free"
        for name, folder in about["folders"].items()
    ]
    return lines


def _gib(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} GiB"
