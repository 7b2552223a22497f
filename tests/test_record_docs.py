"""The code in docs/record-my-run.md runs as it stands."""

import re
from pathlib import Path

import pytest

TEXT = (Path(__file__).parents[1] / "docs" / "record-my-run.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a network this small gains nothing from more
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 5
    namespace: dict = {"__name__": "record_my_run"}
    try:
        for block in blocks:
            exec(compile(block, "docs/record-my-run.md", "exec"), namespace)
    finally:
        torch.set_num_threads(threads)
    shares = namespace["run"].data["share_H"].sel(stratum="color").values
    assert len(shares) == 3 and len(set(shares.round(6))) == 3
    assert namespace["found"].replicates == (1, 2) and 0 < namespace["found"].departure < 1
    designated = namespace["check"].forecasts[namespace["check"].designated]
    # A network of width 128 at small steps: the forecast of its first 600 is right to a few percent.
    assert designated.share_rmse_mean < 0.05 < namespace["check"].baseline_etf
