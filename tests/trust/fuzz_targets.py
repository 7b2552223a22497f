"""What is fuzzed: for each reader, inputs drawn from a seed, and what is done with one.

An input is bytes, or the files of a folder by name.  `Target.read` may raise `InputError` alone; what it opens, and
that nothing is unpickled or run, is watched by `fuzz_campaign`.
"""

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import fuzz_mutations as ways
import numpy as np
from scipy import sparse

from ufmflow.theory.errors import InputError

FORMULA = "a[2] * b[2]"
TABLE = b"label,a,b\n0,x,p\n1,x,q\n2,y,p\n3,y,q\n"
META = {"formula": FORMULA, "labels": None, "optimizer": "sgd", "lr": 0.1, "seed": 0, "arch": "mlp", "body_depth": 3}
MARKER = "ran-from-a-file"


@dataclass(frozen=True)
class Target:
    """One reader.

    Attributes
    ----------
    draw : callable (Random) -> bytes, or dict from file name to bytes
    read : callable (folder), reads what `write` put there
    file : the name under which bytes are written; the folder's name for files by name
    accepts : how many of so many undamaged inputs are to be read without error, at least
    """

    draw: Callable[[Random], Any]
    read: Callable[[Path], Any]
    file: str

    def write(self, made: Any, folder: Path) -> None:
        """Put an input into a folder that is emptied first; a run's table and description lie beside it."""
        for old in folder.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        if self.file.startswith("run."):
            (folder / "run.attributes.csv").write_bytes(TABLE)
            (folder / "run.json").write_text(json.dumps(META))
        if isinstance(made, dict):
            for name, content in made.items():
                place = folder / self.file / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
        else:
            (folder / self.file).write_bytes(made)


class Payload:
    """Unpickled, it leaves a file behind."""

    def __reduce__(self):
        return (open, (MARKER, "w"))


def arrays(random: Random | None = None) -> dict[str, np.ndarray]:
    """The arrays of a small run."""
    rng = np.random.default_rng(0 if random is None else random.randrange(100))
    found = {
        "step": np.array([0, 5]),
        "H": rng.standard_normal((2, 4, 3)),
        "W": rng.standard_normal((2, 4, 3)).astype("f4"),
        "loss": np.array([1.4, 1.2]),
        "label": np.arange(4),
    }
    if random is None or random.random() < 0.5:
        found |= {"feature_norm": np.ones((2, 4)), "kernel_init": np.eye(4), "time": np.array([0.0, 0.5])}
    return found


def _read_run(path: Path) -> None:
    """The arrays of every file, and of each eighth all that is made of them, which takes ten times as long."""
    from ufmflow.numerics.loaders import LISTS, read_arrays
    from ufmflow.numerics.runs import OPTIONAL, REQUIRED, load_run

    found = read_arrays(path, (*REQUIRED, *OPTIONAL, *LISTS))
    if not all(isinstance(array, np.ndarray) for array in found.values()):
        raise AssertionError("what is read is no array")
    # By the content: the same input is always read the same way.
    if sum(array.tobytes()[:8].count(0) + array.size for array in found.values()) % 8 == 0:
        load_run(path)


# Formulas


def _formula(random: Random) -> bytes:
    """From the grammar, now and then broken."""

    broken = random.random() < 0.5
    fresh = iter(("a", "b", "c", "color", "x_1", "é", "n", "lambda", *(f"f{i}" for i in range(90))))

    def name() -> str:
        odd = broken and random.random() < 0.2
        return random.choice(("a", "n", "a__b", "_a", "1", "")) if odd else next(fresh, "last")

    def atom(depth: int) -> str:
        if depth and random.random() < 0.35:
            return f"({node(depth - 1)})"
        size = random.choice(("2", "3", "4", "n", "10", " 5 ", "n1", "9" * 18))
        if broken and random.random() < 0.2:
            size = random.choice(("1", "0", "-2", "2.5", "10**3", "9" * 30, "", "01", "\u0663"))
            return name() + random.choice(("[{}]", "{}", "[{}", "[[{}]]", "({})")).format(size)
        return f"{name()}[{size}]"

    def node(depth: int) -> str:
        parts = [atom(depth)]
        for _ in range(random.choice((0, 1, 1, 2, 5))):
            join = (
                random.choice(("", "^", "**", "//"))
                if broken and random.random() < 0.2
                else random.choice((" * ", "/"))
            )
            parts += [join, atom(depth)]
        return "".join(parts)

    text = node(random.randrange(5))
    kind = random.random() if broken else 1.0
    if kind < 0.15:
        text += random.choice(("^3", "^200", "^201", " ^ 2", "^-1", "^1e3", "^" + "9" * 9, "^\u0663"))
    elif kind < 0.2:
        text = random.choice(("(", "a[2]*", "((a[2])*", " ", "[")) * random.choice((50, 150, 3000))
    elif kind < 0.25:
        text = random.choice(("*", "/", "*(", "/(")).join(f"f{i}[2]" for i in range(random.choice((11, 14, 63, 66))))
    data = text.encode()
    return ways.damaged(data, random) if broken and random.random() < 0.4 else data


def _read_formula(folder: Path) -> None:
    from ufmflow.theory.exchangeable import structure
    from ufmflow.theory.formula import stratum_count

    made = structure((folder / "formula").read_bytes().decode("utf-8", "replace"))
    if stratum_count(made.tree) > 10 or len(made.names) > 10:
        return
    again = structure(str(made))
    if again != made or again.names != made.names:
        raise AssertionError(f"{made} is read back as {again}")
    total = sum(made.multiplicities.values())
    if made.is_numeric and total != made.cardinality:
        raise AssertionError(f"{made}: the strata have {total} dimensions")
    made.keep(list(made.sizes))


# Configurations

DOCUMENT = {
    "model": {
        "attributes": "a[2] * b[3]", "labels": "a * b", "loss": "cross_entropy",
        "kernel": {"a": 1.0, "b": 0.5, "residual": 0.1},
        "label_kernel": {"1": 1, "a": 1, "b": 2, "a:b": 1}, "ridge": [1e-3, 1e-3], "constraint": "free", "width": 8,
        "reduction": "mean",
    },
    "simulate": {"t": [0, 1.0, 10.0], "init": 1e-3, "full": False, "rtol": 1e-8, "atol": 1e-10, "seed": 0},
    "sweep": {
        "chunk": 4, "keep": [1.0],
        "grid": {"ridge": {"from": 1e-4, "to": 1e-2, "count": 3, "scale": "log"}, "kernel.a": [0.5, 1.0]},
        "random": {"method": "sobol", "count": 4, "seed": 0, "values": {"width": {"from": 6, "to": 8}}},
    },
}  # fmt: skip


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _config(random: Random) -> bytes:
    config: Any = DOCUMENT
    if random.random() < 0.5:
        config = {k: v for k, v in config.items() if k != "sweep"}
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        config = ways.with_odd_part(config, random)
    if not isinstance(config, dict):
        config = {"model": config}
    lines = []
    for table, content in config.items():
        if isinstance(content, dict):
            lines += [f"[{json.dumps(table)}]"] + [f"{json.dumps(k)} = {_toml(v)}" for k, v in content.items()]
        else:
            lines += [f"{json.dumps(table)} = {_toml(content)}"]
    text = "\n".join(lines)
    if random.random() < 0.03:
        deep = random.choice((100, 5000))
        text += "\nx = " + random.choice(("[" * deep, "[" * deep + "]" * deep, "{a = " * deep, "9" * deep, "'" * deep))
    data = text.encode("utf-8", "surrogatepass")
    return ways.damaged(data, random) if random.random() < 0.35 else data


def _read_config(folder: Path) -> None:
    from ufmflow.numerics.config import read_config, read_toml
    from ufmflow.numerics.sweep_design import Design

    path = folder / "config.toml"
    try:
        read_config(path)
    except InputError:
        Design.of(read_toml(path), "config.toml")


# Tables


def _table(random: Random) -> bytes:
    columns, kind = random.randrange(1, 6), random.random()
    names = random.sample(("a", "b", "c", "d_e", "e", "é"), columns)
    if kind > 0.3:
        names[random.randrange(columns)] = random.choice(("label", "a b", "", "_x", "context", "token", "count"))
    if kind > 0.9:
        names = ["context", "token", "count", *names]
        columns += 3
    if kind < 0.6:  # a complete table, which a change may break
        sizes = [random.choice((2, 2, 3)) for _ in names]
        rows = [
            [str(i // int(np.prod(sizes[k + 1 :])) % n) for k, n in enumerate(sizes)]
            for i in range(int(np.prod(sizes)))
        ]
        if random.random() < 0.5:
            random.shuffle(rows)
        for _ in range(random.choice((0, 0, 0, 1, 2)) if kind > 0.3 else 0):
            row = random.choice(rows)
            row[random.randrange(columns)] = random.choice(ways.ODD_TEXTS)
        if kind > 0.3 and random.random() < 0.2:
            del rows[random.randrange(len(rows))]
    else:
        words = random.choice((("x", "y"), ("0", "1", "2"), ways.ODD_TEXTS))
        rows = [[random.choice(words) for _ in range(random.choice((columns,) * 9 + (columns + 1,)))]
                for _ in range(random.randrange(12))]  # fmt: skip
    quote = random.choice((lambda t: t, lambda t: '"' + t.replace('"', '""') + '"'))
    text = random.choice(("\n", "\r\n", "\r")).join(",".join(map(quote, row)) for row in [names, *rows])
    data = text.encode(random.choice(("utf-8",) * 8 + ("utf-16", "utf-8-sig")), "replace")
    return ways.damaged(data, random) if kind > 0.3 and random.random() < 0.4 else data


def _read_table(folder: Path) -> None:
    from ufmflow.numerics.counts import read_counts
    from ufmflow.numerics.embeddings import read_table
    from ufmflow.theory.table import read_columns

    path = folder / "table.csv"
    try:
        read_table(path)
    except InputError:
        read_counts(path, read_columns(path), None)


def _description(random: Random) -> bytes:
    meta: Any = META
    for _ in range(random.choice((1, 1, 2))):
        meta = ways.with_odd_part(meta, random)
    if random.random() < 0.05:
        deep = random.choice((500, 100_000))
        return random.choice(("[" * deep, '{"a":' * deep, "9" * deep, '{"lr": ' + "9" * deep + "}")).encode()
    if random.random() < 0.1 and isinstance(meta, dict):
        meta["formula"] = _formula(random).decode("utf-8", "replace")
    data = json.dumps(meta).encode()
    return ways.damaged(data, random) if random.random() < 0.35 else data


def _read_description(folder: Path) -> None:
    from ufmflow.numerics.runs import load_run

    (folder / "run.json").write_bytes((folder / "run.description").read_bytes())
    (folder / "run.npz").write_bytes(_whole_run())
    load_run(folder / "run.npz")


@cache
def _whole_run() -> bytes:
    return _packed({name: _npy(array) for name, array in arrays().items()})


# Arrays


def _npy(array: np.ndarray) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


def _packed(members: dict[str, bytes], way: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", way) as archive:
        for name, content in members.items():
            archive.writestr(name + ".npy", content)
    return packed.getvalue()


def _payload_npy() -> bytes:
    packed = io.BytesIO()
    np.save(packed, np.array([Payload()], dtype=object), allow_pickle=True)
    return packed.getvalue()


def _npz(random: Random) -> bytes:
    members = {name: _npy(array) for name, array in arrays(random).items()}
    if random.random() < 0.05:
        members[random.choice(sorted(members))] = _payload_npy()
    if random.random() < 0.15:
        members = {random.choice(("H", "x")): _npy(np.eye(4))}
    if random.random() < 0.2:
        members = _sparse(random)
    made = _packed(members)
    return ways.damaged_zip(made, random, ways.damaged_npy) if random.random() < 0.95 else made


def _sparse(random: Random) -> dict[str, bytes]:
    """Counts as SciPy keeps them, whose indices now and then point elsewhere."""
    kind = random.choice(("csr", "csc", "coo", "bsr", "dia"))
    packed = io.BytesIO()
    sparse.save_npz(packed, sparse.random(4, 5, 0.5, kind, random_state=random.randrange(99)), compressed=False)
    with zipfile.ZipFile(packed) as archive:
        members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
    if random.random() < 0.5:
        name = random.choice([name for name in members if name != "format"])
        array = np.load(io.BytesIO(members[name])).copy()
        if array.size:
            array.flat[random.randrange(array.size)] = random.choice((-1, 4, 5, 6, 99, 10**6, 2**31 - 1))
        members[name] = _npy(array)
    return members


def _read_npz(folder: Path) -> None:
    from ufmflow.numerics.counts import read_counts
    from ufmflow.numerics.embeddings import read_embeddings

    path = folder / "run.npz"
    for read in (_read_run, read_embeddings, lambda path: read_counts(path, {}, None)):
        try:
            read(path)
        except InputError:
            pass


def _safetensors(random: Random) -> bytes:
    from safetensors.numpy import save

    data = save(arrays(random))
    length = int.from_bytes(data[:8], "little")
    if random.random() < 0.6:
        header = json.loads(data[8 : 8 + length])
        if random.random() < 0.2:
            header["__metadata__"] = ways.odd_value(random)
        text = json.dumps(ways.with_odd_part(header, random)).encode()
        data = (
            (len(text) if random.random() < 0.9 else random.choice(ways.ODD_NUMBERS) % 2**64).to_bytes(
                8, "little", signed=False
            )
            + text
            + data[8 + length :]
        )
    return ways.damaged(data, random) if random.random() < 0.5 else data


def _read_safetensors(folder: Path) -> None:
    from ufmflow.numerics.checkpoints import _state

    try:
        _read_run(folder / "run.safetensors")
    except InputError:
        _state(folder / "run.safetensors")


def _torch(random: Random) -> bytes:
    data = random.choice(_torch_seeds())
    return ways.damaged_zip(data, random) if data[:2] == b"PK" else ways.damaged(data, random)


@cache
def _torch_seeds() -> tuple[bytes, ...]:
    import torch

    def saved(value: Any, **options: Any) -> bytes:
        packed = io.BytesIO()
        torch.save(value, packed, **options)
        return packed.getvalue()

    tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
    lists = {"W_list": list(tensors["W"]), "H_list": list(tensors["H"]), "losses": [1.4, 1.2], "step": [0, 5]}
    half = {name: t.bfloat16() if t.is_floating_point() else t for name, t in tensors.items()}
    return (
        saved(tensors), saved(tensors, _use_new_zipfile_serialization=False), saved(lists), saved({"state_dict": half}),
        saved(half), saved({**tensors, "H": Payload()}), pickle.dumps(Payload()),
        saved(tensors | {"H": torch.eye(3).to_sparse()}),
        saved({**tensors, "H": torch.zeros(1).expand(2, 4, 3), "deep": [[[{}]]]}),
    )  # fmt: skip


def _read_torch(folder: Path) -> None:
    from ufmflow.numerics.checkpoints import _state

    try:
        _read_run(folder / "run.pt")
    except InputError:
        _state(folder / "run.pt")


def _zarr(random: Random) -> dict[str, bytes]:
    files = dict(random.choice(_zarr_seeds()))
    if random.random() < 0.05:
        files |= {"H/.zarray": _pickled_array((1,)), "H/0": pickle.dumps(Payload()), ".zgroup": b'{"zarr_format": 2}'}
    return ways.damaged_tree(files, random)


def _pickled_array(shape: tuple[int, ...], **more: Any) -> bytes:
    return json.dumps(
        {"zarr_format": 2, "shape": shape, "chunks": shape, "dtype": "|O", "compressor": None, "fill_value": None,
         "order": "C", "filters": [{"id": "pickle", "protocol": 5}], **more}
    ).encode()  # fmt: skip


def _files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@cache
def _zarr_seeds() -> tuple[dict[str, bytes], ...]:
    import tempfile

    import zarr

    found = []
    for version in (2, 3):
        with tempfile.TemporaryDirectory() as place:
            group = zarr.open_group(place + "/run", mode="w", zarr_format=version)
            for name, array in arrays().items():
                group.create_array(name, data=array, chunks=(1, *array.shape[1:]) if name == "H" else "auto")
            found.append(_files(Path(place, "run")))
    return tuple(found)


def _read_zarr(folder: Path) -> None:
    _read_run(folder / "run.zarr")


def _trajectory(random: Random) -> dict[str, bytes]:
    files = dict(random.choice(_trajectory_seeds()))
    if random.random() < 0.05:
        name = random.choice(("h", "stratum", "x"))
        files |= {f"{name}/.zarray": _pickled_array((1,)), f"{name}/0": pickle.dumps(Payload())}
        files.pop(".zmetadata", None)
    return ways.damaged_tree(files, random)


@cache
def _trajectory_seeds() -> tuple[dict[str, bytes], ...]:
    import tempfile

    from ufmflow.numerics.simulate import simulate
    from ufmflow.numerics.sweep import fill_store
    from ufmflow.theory.model import UFM

    with tempfile.TemporaryDirectory() as place:
        simulate(UFM(FORMULA), [0, 1.0, 5.0], out=place + "/t.zarr")
        config = {"model": {"attributes": FORMULA}, "simulate": {"t": 5.0}, "sweep": {"grid": {"init": [1e-3, 1e-2]}}}
        fill_store(config, place + "/s.zarr")
        return _files(Path(place, "t.zarr")), _files(Path(place, "s.zarr"))


def _read_trajectory(folder: Path) -> None:
    from ufmflow.numerics.sweep_load import load_sweep
    from ufmflow.numerics.trajectory import Trajectory

    try:
        Trajectory.load(folder / "stored")
    except InputError:
        load_sweep(folder / "stored")


def _hdf5(random: Random) -> bytes:
    made = random.choice(_hdf5_seeds())
    return ways.damaged(made, random, _hdf5_seeds())


@cache
def _hdf5_seeds() -> tuple[bytes, ...]:
    import h5py

    found = []
    for options in ({}, {"compression": "gzip", "chunks": True}, {"libver": "latest"}):
        packed = io.BytesIO()
        with h5py.File(packed, "w", libver=options.pop("libver", "earliest")) as file:
            for name, array in arrays().items():
                file.create_dataset(name, data=array, **options)
            file.attrs["note"] = "small"
            file["soft"] = h5py.SoftLink("/H")
            file["feature"] = h5py.ExternalLink("other.h5", "/H")
        found.append(packed.getvalue())
    return tuple(found)


def _read_hdf5(folder: Path) -> None:
    _read_run(folder / "run.h5")


TARGETS = {
    "formula": Target(_formula, _read_formula, "formula"),
    "toml": Target(_config, _read_config, "config.toml"),
    "csv": Target(_table, _read_table, "table.csv"),
    "json": Target(_description, _read_description, "run.description"),
    "npz": Target(_npz, _read_npz, "run.npz"),
    "safetensors": Target(_safetensors, _read_safetensors, "run.safetensors"),
    "pt": Target(_torch, _read_torch, "run.pt"),
    "zarr": Target(_zarr, _read_zarr, "run.zarr"),
    "stored": Target(_trajectory, _read_trajectory, "stored"),
    "hdf5": Target(_hdf5, _read_hdf5, "run.h5"),
}
