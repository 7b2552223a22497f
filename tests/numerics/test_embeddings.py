"""Embeddings and attribute tables read from files; what cannot be read is named, and nothing is unpickled."""

import numpy as np
import pytest

from ufmflow.numerics.embeddings import read_embeddings, read_table
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError

from .explicit import normal

H, W = normal(0, 6, 3), normal(1, 6, 3)


@pytest.mark.parametrize(
    ("arrays", "has_head"), [({"H": H}, False), ({"H": H, "W": W}, True), ({"anything": H}, False),
                             ({"H": H, "W": W, "notes": np.arange(3)}, True)],
)  # fmt: skip
def test_archives_are_read(tmp_path, arrays, has_head):
    np.savez(tmp_path / "e.npz", **arrays)
    found, head = read_embeddings(tmp_path / "e.npz")
    np.testing.assert_array_equal(found, H)
    assert np.array_equal(head, W) if has_head else head is None


def test_a_plain_array_is_mapped_and_not_loaded(tmp_path):
    np.save(tmp_path / "e.npy", H.astype(np.float32))
    found, head = read_embeddings(tmp_path / "e.npy")
    assert head is None and found.dtype == np.float32 and isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, H.astype(np.float32))
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 1.0
    np.save(tmp_path / "i.npy", np.eye(3, dtype=int))
    assert read_embeddings(str(tmp_path / "i.npy"))[0].dtype == float


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("e.npy", lambda path: np.save(path, H[0]), r"^file: .* holds an array of shape \(3,\)"),
        ("e.npy", lambda path: np.save(path, H[None]), r"^file: .* holds an array of shape \(1, 6, 3\)"),
        ("e.npy", lambda path: np.save(path, H.astype(str)), "^file: .* type <U"),
        ("e.npy", lambda path: np.save(path, H + 1j), "^file: .* type complex128"),
        ("e.npy", lambda path: path.write_bytes(b""), "^file: cannot read"),
        ("e.npy", lambda path: path.write_bytes(b"some text"), "^file: cannot read"),
        ("e.npz", lambda path: np.savez(path, a=H, b=W), "^file: .* holds a, b; name the embeddings H"),
        ("e.npz", lambda path: np.savez(path), "^file: .* holds nothing"),
        ("e.npz", lambda path: np.savez(path, H=H, W=W[0]), r"^file: .* shape \(3,\)"),
        ("e.npz", lambda path: path.write_bytes(b"PK\x03\x04 cut short"), "^file: cannot read"),
        ("none.npy", lambda path: None, "^file: cannot read"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, write, message):
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        read_embeddings(tmp_path / name)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "e.npy", np.array([[Bomb(tmp_path / "exploded")]], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "e.npz", H=np.array([[Bomb(tmp_path / "exploded")]], dtype=object))
    for name in ("e.npy", "e.npz"):
        with pytest.raises(InputError, match="^file: cannot read"):
            read_embeddings(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    ("labels", "expected"), [("0213", [0, 2, 1, 3]), ("xyzw", [0, 1, 2, 3]), ("yxyx", [0, 1, 0, 1]), (None, None)]
)
def test_labels_are_numbers_or_are_numbered(tmp_path, labels, expected):
    rows = ["a,b", "p,u", "p,v", "q,u", "q,v"]
    if labels:
        rows = [f"{label},{row}" for label, row in zip(["label", *labels], rows, strict=True)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    structure, found = read_table(tmp_path / "t.csv")
    assert structure == Attributes("a[2] * b[2]")
    assert found is None if expected is None else found.tolist() == expected


def test_the_formula_decides_how_reused_names_are_read(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n0,0\n0,1\n1,0\n1,1\n")
    assert str(read_table(tmp_path / "t.csv")[0]) == "a[2] * b[2]"
    assert str(read_table(tmp_path / "t.csv", "a / b")[0]) == "a[2] / b[2]"
    with pytest.raises(InputError, match="^table: cannot read"):
        read_table(tmp_path / "none.csv")
