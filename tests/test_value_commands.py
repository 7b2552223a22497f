"""`ufmflow value`, `targets` and `crossover`: what they print, draw and refuse."""

import json
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.kernels import cooccurrence_targets

from ufmflow import numerics

RUN = Path(numerics.__file__).parent / "data" / "crossed_4x6_mlp_flow"
THINGS = list(product("rgb", "wxyz"))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Counts of next tokens and of the contexts' own tokens, softness 1/2."""
    folder = tmp_path_factory.mktemp("counts")
    structure = Attributes("color[3] * shape[4]")
    tau = cooccurrence_targets(structure, "1/2", {"color": "1/4", "shape": "3/4"})
    T = sum(float(tau[A]) * np.array(structure.projector(A), dtype=float) for A in structure.names)
    table = "\n".join(["context,color,shape", *(f"c{i},{c},{s}" for i, (c, s) in enumerate(THINGS))])
    (folder / "contexts.csv").write_text(table)
    (folder / "tokens.csv").write_text(table.replace("context", "token"))
    np.save(folder / "counts.npy", np.round(9600 * T.T))
    inputs = [f"c{i},{word},1" for i, thing in enumerate(THINGS) for word in thing]
    (folder / "inputs.csv").write_text("\n".join(["context,token,count", *inputs]))
    return folder


def test_value(command, tmp_path):
    found = json.loads(command("value", RUN, "--json", "--out", tmp_path / "value.svg")[1])
    assert (tmp_path / "value.svg").stat().st_size > 10_000
    first, last = found["timeline"][0], found["timeline"][-1]
    assert first["parallelogram"] == pytest.approx(first["semantic_index"], abs=1e-6) and last["one_shot"] < 1
    rows = {row["measure"]: row for row in found["agreement"]}
    assert rows["parallelogram"]["verdict"] == "follows" and rows["decoding"]["end"] > rows["decoding"]["index_end"]


def test_targets(command, files, monkeypatch):
    monkeypatch.chdir(files)
    call = ("targets", "counts.npy", "--contexts", "contexts.csv", "--tokens", "tokens.csv", "--inputs", "inputs.csv")
    call += ("--residual", 2)
    found = json.loads(command(*call, "--json")[1])
    assert found["eps"] == pytest.approx(0.5, abs=1e-3) and found["weights"]["shape"] == pytest.approx(0.75, abs=1e-3)
    assert found["feature_kernel"] == pytest.approx({"1": 9, "color": 6, "shape": 5, "color:shape": 2})
    assert found["place"]["phase"] == "transient"
    code, printed, _ = command(*call, "--out", "crossover.pdf")
    assert code == 0 and "softness 0.5" in printed and (files / "crossover.pdf").stat().st_size > 10_000


def test_crossover(command):
    found = json.loads(command("crossover", "a[3] * b[4]", "--mark", "0.9,2", "--json")[1])
    assert found["marked"][0]["phase"] == "lasting" and found["disagreement"] < 0.02
    assert found["borders"][0]["limit_index"] == 0 and found["cross_entropy_index"] == pytest.approx(7 / 18)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("value", "missing"), "missing"),
        (("value", RUN, "--out", "value.jpg"), "no figure"),
        (("targets", "counts.npy", "--contexts", "contexts.csv", "--out", "x.pdf"), "--inputs"),
        (("crossover", "a[3] * b[4]", "--mark", "0.9"), "write softness and kernel ratio"),
        (("crossover", "a[3] / b[4]"), "two at least"),
    ],
)
def test_bad_input(command, files, monkeypatch, call, words):
    monkeypatch.chdir(files)
    code, _, error = command(*call)
    assert code == 2 and words in error
    assert not (files / "x.pdf").exists()


def test_the_counts_of_the_page_give_the_numbers_of_the_page(command, tmp_path, monkeypatch):
    text = (Path(__file__).parents[1] / "docs" / "co-occurrence.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    namespace: dict = {"__name__": "co_occurrence"}
    for block in blocks[:2]:
        exec(compile(block, "docs/co-occurrence.md", "exec"), namespace)
    assert namespace["model"].targets["1"] == 1 and namespace["outside"] < 1e-12
    call = ("--contexts", "contexts.csv", "--tokens", "tokens.csv", "--inputs", "inputs.csv", "--residual", 3)
    assert command("targets", "counts.csv", *call)[1].strip() in text
