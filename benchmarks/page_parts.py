"""Pieces of Markdown that the benchmark page is made of."""


def table(head, rows):
    """Lines of a table; nothing without rows."""
    if not rows:
        return []
    lines = [f"| {' | '.join(map(str, row))} |" for row in (head, *rows)]
    return [lines[0], "|---" * len(head) + "|", *lines[1:]]


def unmeasured(command):
    """What stands where a result is missing."""
    return f"**not yet measured**: `{command}`"


def about(result, command):
    """Date, machine, versions and command of a result, and its note."""
    machine = str(result.get("machine") or result.get("gpu") or "machine not recorded")
    if result.get("cores"):
        machine += f", one core of {result['cores']}"
    if result.get("load") is not None:
        machine += f", load {result['load']:.1f} at the end"
    versions = ", ".join(f"{name} {version}" for name, version in result.get("versions", {}).items() if version)
    lines = ["; ".join(filter(None, [f"{result['date']}, {machine}", versions])) + f". Command: `{command}`"]
    return [*lines, "", f"Note: {result['note']}."] if result.get("note") else lines


def exponent(x, digits=1):
    """A number as 2.4e-7."""
    return f"{x:.{digits}e}".replace("e-0", "e-") if x else "0"
