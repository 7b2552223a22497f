"""The code in docs/property-tests.md runs as it stands."""

import re
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "property-tests.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 2
    namespace: dict = {"__name__": "property_tests"}
    for block in blocks:
        exec(compile(block, "docs/property-tests.md", "exec"), namespace)
    assert "lies_in_the_algebra" in namespace and "follows_the_closed_form" in namespace


def test_the_page_names_every_strategy():
    from ufmflow.proofs import strategies

    own = {name for name, value in vars(strategies).items() if getattr(value, "__module__", "") == strategies.__name__}
    assert "models" in own and not [name for name in own if f"`{name}(" not in TEXT]
