"""Arrays by name from files of many formats: .npz, .zarr, .safetensors, .pt, HDF5.

Nothing is unpickled, and no file but the named one is read: object arrays, the pickle codec of zarr, and links of HDF5
to other files are refused.  Runs kept as lists, `W_list (T, V, d)`, `H_list (T, d, m)` or `(T, m, d)` and
`losses (T,)`, become the arrays of a run with `as_run`.
"""

import math
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..theory.errors import InputError
from .unfolding import check_unfolded, stored_bytes
from .zarr_guard import check_store

LISTS = {"W_list": "W", "H_list": "H", "losses": "loss"}
Arrays = dict[str, np.ndarray]


def read_arrays(file: Path, names: Collection[str], what: str = "a recorded run") -> Arrays:
    """The arrays of a file that have one of the names.

    Parameters
    ----------
    file : a path with one of ENDINGS
    names : what to look for; other arrays are not read
    what : what the file should be, for the error

    Returns
    -------
    dict from name to array; bfloat16 tensors of .pt become float32

    Raises
    ------
    InputError
        For files that cannot be read without unpickling or without another file, and for a missing library.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(folder + "/run.npz", loss=[1.0, 0.5], other=[3])
    ...     read_arrays(Path(folder, "run.npz"), ["loss", "step"])
    {'loss': array([1. , 0.5])}
    """
    try:
        return READERS[file.suffix](file, names)
    except InputError:
        raise
    except Exception as error:  # each library has its own, safetensors one that derives from Exception alone
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise InputError(f"path: {str(file)!r} cannot be read as {what} ({reason}).") from None


def _npz(file: Path, names: Collection[str]) -> Arrays:
    with np.load(file, allow_pickle=False) as archive:
        found = {}
        for name in names:
            if name in archive:
                member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name
                check_unfolded(name, archive.zip.getinfo(member).file_size, stored_bytes(file))
                found[name] = archive[name]
                if not isinstance(found[name], np.ndarray):
                    raise ValueError(f"{name} is no array")
        return found


def _zarr(file: Path, names: Collection[str]) -> Arrays:
    import zarr

    check_store(file)
    group = zarr.open_group(str(file), mode="r")
    return {name: np.asarray(group[name]) for name in names if name in group}


def _safetensors(file: Path, names: Collection[str]) -> Arrays:
    try:
        from safetensors.numpy import load_file
    except ImportError:
        raise InputError(f"path: {file.name} needs safetensors; pip install 'ufmflow[train]'.") from None
    found = load_file(file)
    return {name: found[name] for name in names if name in found}


def _torch(file: Path, names: Collection[str]) -> Arrays:
    found, stored = load_state(file), stored_bytes(file)
    arrays = {}
    for name in names:
        if name in found:
            # A tensor may repeat a few numbers of its storage without end.
            check_unfolded(name, _size(found[name]), stored)
            arrays[name] = _as_array(found[name])
    return arrays


def _hdf5(file: Path, names: Collection[str]) -> Arrays:
    try:
        import h5py
    except ImportError:
        raise InputError(f"path: {file.name} needs h5py; pip install 'ufmflow[hdf5]'.") from None
    with h5py.File(file, "r") as archive:
        found = {}
        for name in names:
            if name not in archive and archive.get(name, getlink=True) is None:
                continue
            inside = isinstance(archive.get(name, getlink=True), h5py.HardLink)
            if not inside or not isinstance(archive[name], h5py.Dataset):
                raise ValueError(f"{name} is no array of the file itself")
            if archive[name].is_virtual or archive[name].external:
                raise ValueError(f"{name} lies in another file")
            # Chunks that were never written take no room in the file.
            check_unfolded(name, max(archive[name].nbytes, _chunk_bytes(archive[name])), stored_bytes(file))
            found[name] = archive[name][()]
        return found


READERS: Mapping[str, Callable[[Path, Collection[str]], Arrays]] = {
    ".npz": _npz,
    ".zarr": _zarr,
    ".safetensors": _safetensors,
    ".pt": _torch,
    ".pth": _torch,
    ".h5": _hdf5,
    ".hdf5": _hdf5,
}
ENDINGS = tuple(READERS)


def load_state(file: Path) -> dict[str, Any]:
    """The mapping in a .pt file: tensors and plain values only, on the CPU."""
    try:
        import torch
    except ImportError:
        raise InputError(f"path: {file.name} needs PyTorch; pip install 'ufmflow[train]'.") from None
    found = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type(found).__name__}, not a mapping from names to tensors")
    return found


def _size(value: Any) -> int:
    """Bytes of a tensor, or of all in a list."""
    if isinstance(value, (list, tuple)):
        return sum(map(_size, value))
    return value.numel() * value.element_size() if hasattr(value, "element_size") else 8


def _chunk_bytes(dataset: Any) -> int:
    return math.prod(dataset.chunks) * dataset.dtype.itemsize if dataset.chunks else 0


def _as_array(value: Any) -> np.ndarray:
    """A tensor, or a list of tensors or numbers, as an array; numpy has no bfloat16."""
    import torch

    if isinstance(value, (list, tuple)):
        return np.stack([_as_array(part) for part in value]) if len(value) else np.empty(0)
    tensor = torch.as_tensor(value).detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def as_run(found: Arrays, meta: Mapping[str, Any], label: np.ndarray | None, m: int, file: Path) -> Arrays:
    """A run kept as lists, under a run's names; any other unchanged.

    Parameters
    ----------
    found : arrays read from the file
    meta : what NAME.json tells; `record_every` is the number of steps between entries where the file has no `step`
    label : array (m,) or None
        Labels from the table, for a file without them.
    m : number of contexts

    Raises
    ------
    InputError
        When steps or labels are nowhere told, and when m = d leaves open which way H lies.
    """
    if not any(name in found for name in LISTS):
        return found
    arrays = {LISTS.get(name, name): array for name, array in found.items()}
    if "H_list" in found and arrays["H"].ndim == 3:
        arrays["H"] = _contexts_first(arrays["H"], arrays.get("W"), m, file)
    if "step" not in arrays:
        every = meta.get("record_every")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise InputError(
                f"step: {file.name} has lists without an array step; add it, or the number of steps between entries "
                f"as record_every to {file.stem}.json."
            )
        arrays["step"] = every * np.arange(len(next(array for name, array in arrays.items() if name in LISTS.values())))
    if "label" not in arrays:
        if label is None:
            raise InputError(f"label: neither {file.name} nor its table has labels; add a column label to the table.")
        arrays["label"] = label
    return arrays


def _contexts_first(H: np.ndarray, W: np.ndarray | None, m: int, file: Path) -> np.ndarray:
    """H as (T, m, d), whichever of (T, m, d) and (T, d, m) it was."""
    d = W.shape[-1] if W is not None and W.ndim == 3 else None
    if H.shape[1] == H.shape[2] == m:
        raise InputError(
            f"H_list: {file.name} has {m} contexts and {m} features, so either axis may be either; store it as H "
            "(times, contexts, features)."
        )
    return H.transpose(0, 2, 1) if H.shape[2] == m and d in (None, H.shape[1]) else H
