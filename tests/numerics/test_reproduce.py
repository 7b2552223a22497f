"""`reproduce` ends in a report and a verdict: from the shipped run, and from a network trained on the spot."""

import functools

import pytest

from ufmflow.numerics import reproduce as module
from ufmflow.numerics.reproduce import reproduce


def test_quick_holds_the_shipped_run(flow_check, tmp_path, monkeypatch):
    held = []

    def once(run, progress=None):
        held.append(run.name)
        return flow_check

    monkeypatch.setattr(module, "crosscheck", once)
    page, check = reproduce(tmp_path, quick=True)
    assert held == ["crossed_4x6_mlp_flow"] and check is flow_check and page == tmp_path / "index.html"
    assert "Confirmed." in page.read_text() and not (tmp_path / "objects.npz").exists()


def test_in_full_a_network_is_trained_first(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    from ufmflow.numerics import train

    small = functools.partial(train.train, formula="a[2] * b[3]", width=32, features=16, steps=200, snapshots=8)
    monkeypatch.setattr(train, "train", small)
    page, check = reproduce(tmp_path)
    assert (tmp_path / "objects.npz").exists() and check.run.name == "objects"
    assert str(check.run.attributes) == "a[2] * b[3]" and page.exists()
    # A network of 32 units is far from the theory's wide limit; still the forecast beats both baselines' errors.
    assert check.forecasts[check.designated].share_rmse_mean < max(check.baseline_etf, check.baseline_frozen)
