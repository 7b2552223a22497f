"""`ufmflow gram`: uncertainty beside the analysis, streaming within a bound, and one sentence for each bad input."""

import json

import numpy as np
import pytest

from .test_cli import ufmflow

ROWS = [f"{c},{s}" for c in "rgb" for s in "wxyz"]


@pytest.fixture
def files(tmp_path):
    random = np.random.default_rng(0)
    H = np.repeat(2 * random.standard_normal((3, 40)), 4, axis=0) + random.standard_normal((12, 40))
    np.save(tmp_path / "H.npy", H.astype(np.float32))
    (tmp_path / "t.csv").write_text("\n".join(["color,shape", *ROWS]))
    return tmp_path


def test_uncertainty_and_streaming(files):
    call = ("gram", "H.npy", "--attributes", "t.csv", "--json")
    plain = json.loads(ufmflow(*call, cwd=files).stdout)
    call += ("--bootstrap", 50, "--permutations", 19, "--seed", 3)
    found, again, streamed = (
        json.loads(ufmflow(*call, *more, cwd=files).stdout) for more in ((), (), ("--memory", "1e-4"))
    )
    assert found == again and found["uncertainty"]["seed"] == 3 and "uncertainty" not in plain
    assert plain["effective_rank"] > 1 and plain["attribute_distance"] < plain["etf_distance"]
    color = found["strata"][1]
    assert color["p_value"] == 0.05 and color["share_interval"][0] < color["share"] < color["share_interval"][1]
    for name, value in plain.items():
        if isinstance(value, float):
            assert found[name] == value and streamed[name] == pytest.approx(value, rel=1e-9, abs=1e-9)
    printed = ufmflow(*(word for word in call if word != "--json"), cwd=files).stdout
    assert "90% interval" in printed and " 0.05" in printed


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (["color,shape", *ROWS[:-1], ROWS[0]], (), "have the same attributes"),
        (["color,shape", *ROWS[:-1]], (), "incomplete: 11 of 12"),
        (["color,shape", *ROWS[:-1], "b,"], (), "'shape' has no value in row 12"),
        (["color,shape", *ROWS, *(row.upper() for row in ROWS)], (), "table:"),
        (["label,color,shape", *(f"{i % 5},{row}" for i, row in enumerate(ROWS))], (), "labels: the 5 distinct labels"),
        (["color,shape", *ROWS], ("--formula", "color * size"), "'shape' is in the table but not in the formula"),
        (["color,shape", *ROWS], ("--memory", "0"), "--memory: 0.0 GiB"),
        (["color,shape", *ROWS], ("--memory", "1e-7"), "memory: 9.97e-08 GiB"),
        (["color,shape", *ROWS], ("--bootstrap", "1"), "bootstrap: 1 resamples"),
    ],
)
def test_bad_input_is_one_sentence(files, table, options, words):
    (files / "t.csv").write_text("\n".join(table))
    result = ufmflow("gram", "H.npy", "--attributes", "t.csv", *options, cwd=files)
    assert result.returncode == 2 and result.stdout == ""
    assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda H: H[:-1], "it has 11 rows"),
        (lambda H: np.where(H == H.max(), np.nan, H), "NaN or infinity"),
        (lambda H: np.ones_like(H), "the mean of label 0 is the mean of all"),
    ],
)
def test_bad_embeddings_are_one_sentence(files, change, words):
    np.save(files / "bad.npy", change(np.load(files / "H.npy")))
    for memory in ("1", "1e-4"):
        result = ufmflow("gram", "bad.npy", "--attributes", "t.csv", "--memory", memory, cwd=files)
        assert result.returncode == 2 and result.stdout == ""
        assert words in result.stderr and len(result.stderr.strip().splitlines()) == 1
