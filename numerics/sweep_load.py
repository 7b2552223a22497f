"""Reading a sweep: along its runs, or as the grid that it was designed on."""

import os

import xarray as xr

from ..theory.errors import InputError
from .sweep_design import Design
from .sweep_layout import STATUS, array_of
from .sweep_store import Store


def load_sweep(path: str | os.PathLike, grid: bool = True) -> xr.Dataset:
    """Read what a sweep has finished.

    Parameters
    ----------
    path : of the store
    grid : bool
        True: one dimension for each axis of the design, with the axis's values as its coordinate, and `sample` for the
        random points.  False: the dimension `run`.  `xarray.open_zarr(path)` reads the latter without loading it.

    Returns
    -------
    xarray.Dataset
        See the module's text; runs that are not finished are NaN, with status 0.

    Raises
    ------
    InputError
        When there is no store, or it is no sweep or damaged.
    """
    store = Store(path)
    try:
        data = xr.open_zarr(store.path, consolidated=True, chunks=None).load()
        pending = data["status"] == STATUS.index("pending")
        for name, variable in data.data_vars.items():
            if variable.dtype.kind == "f":
                data[name] = variable.where(~pending)
        data["problem"] = data["problem"].where(~pending, "")
        return _unstacked(data, store.design) if grid else data
    except Exception as error:  # zarr, codecs and xarray each raise their own kinds for a damaged store
        reason = " ".join(str(error).split())
        raise InputError(f"out: {os.fspath(path)!r} is damaged ({reason}); delete it, or name another.") from None


def _unstacked(data: xr.Dataset, design: Design) -> xr.Dataset:
    dims, lengths = tuple(design.shape), tuple(design.shape.values())
    arrays = {
        name: (dims + v.dims[1:], v.values.reshape(lengths + v.shape[1:]), v.attrs)
        for name, v in data.data_vars.items()
    }
    kept = {name: data[name] for name in ("stratum", "time") if name in data.coords}
    along = {key: (axis.name, array_of(column)) for axis in design.axes for key, column in axis.columns.items()}
    return xr.Dataset(arrays, {**along, **kept}, data.attrs)
