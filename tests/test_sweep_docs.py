"""The configuration, commands and code in docs/how-to-sweep.md run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

TEXT = (Path(__file__).parents[1] / "docs" / "how-to-sweep.md").read_text(encoding="utf-8")


def block(language):
    (found,) = re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    return found


def test_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(block("toml"), encoding="utf-8")
    shown = re.findall(r"^\$ ufmflow (.*)$", TEXT, flags=re.MULTILINE)
    assert len(shown) == 2
    script = str(Path(sys.executable).with_name("ufmflow"))
    printed = [
        subprocess.run([script, *line.split()], capture_output=True, text=True, check=True).stdout for line in shown
    ]
    # Bytes of memory and seconds are the machine's; runs, chunks, the store's size and the end are the page's.
    for line in ("36 runs in 1 chunk of 36\n", "about 324 KiB of store", "sweep.zarr: 36 done\n"):
        assert line in TEXT and line in "".join(printed)
    namespace: dict = {}
    exec(compile(block("python"), "docs/how-to-sweep.md", "exec"), namespace)
    found = namespace["found"]
    assert dict(found["window_peak"].sizes) == {"ridge": 3, "init": 3, "sample": 4}
    named = set(re.findall(r"`((?:status|problem|window|final|trajectory)\w*)`", TEXT))
    assert named - {"status", "problem"} <= set(found.data_vars)
    assert {name for name in found.data_vars if not name.startswith("trajectory")} <= named
