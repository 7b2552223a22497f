"""Chunks of contexts, so that the V x m logits are never held, and the memory that a flow of whole matrices takes.

Both gradients of a chunk are formed before the next chunk's logits take its place, with three matrix products in all
as without chunks: the features' is the chunk's own, the labels' is added to in place.
"""

from dataclasses import dataclass

from ..theory.errors import InputError

# Adding a chunk's part to the labels' gradient reads and writes V d numbers beside 6 V d flops a context: 2 percent of
# the time at 512 contexts on one core.
LEAST_ROWS = 512


def chunk_rows(V: int, m: int, itemsize: int, chunk_bytes: int) -> int:
    """How many contexts go through at once: all whose logits fit `chunk_bytes`, but at least `LEAST_ROWS`.

    Examples
    --------
    >>> chunk_rows(1024, 1024, 8, 32 * 2**20), chunk_rows(131072, 131072, 4, 32 * 2**20)
    (1024, 512)
    """
    most = max(LEAST_ROWS, chunk_bytes // (V * itemsize))
    return m if m <= most else -(-m // -(-m // most))  # chunks of equal size


@dataclass(frozen=True)
class Memory:
    """Bytes that an integration takes, by what takes them.

    Attributes
    ----------
    device : dict of bytes on the device that integrates
    host : dict of bytes beside it, for the start and the saved times; on "cpu" they add up
    one_output : bytes of one saved time
    """

    device: dict[str, float]
    host: dict[str, float]
    one_output: float

    @property
    def on_device(self) -> float:
        """Bytes on the device."""
        return sum(self.device.values())

    @property
    def on_host(self) -> float:
        """Bytes of the host."""
        return sum(self.host.values())


@dataclass(frozen=True)
class Layout:
    """What the flow of W (V, d) and F (d, m) holds besides its state.

    Attributes
    ----------
    rows : int, contexts whose logits are held at once
    by_gram : bool, squared error from d x d products: logits are formed for the loss alone
    logits : int, arrays (rows, V) at once
    scratch : int, arrays (m, d) of its own
    averages : float, arrays of the larger matrix's size that structured kernels or targets take while they act

    Examples
    --------
    >>> wide = Layout(131072, 131072, 256, rows=512, by_gram=False, logits=1, scratch=0, averages=0.0)
    >>> found = wide.memory(itemsize=4, vectors=8, outputs=2)
    >>> found.on_device + found.on_host < 8 * 2**30
    True
    """

    V: int
    m: int
    d: int
    rows: int
    by_gram: bool
    logits: int
    scratch: int
    averages: float

    def memory(self, itemsize: int, vectors: int, outputs: int) -> Memory:
        """What an integration takes whose integrator has that many vectors of the state's length.

        Parameters
        ----------
        itemsize : int, bytes of a number
        outputs : int, saved times
        """
        one = (self.V + self.m) * self.d * itemsize
        larger = max(self.V, self.m) * self.d * itemsize
        logits = self.rows * (self.logits * self.V + 4)
        device = {
            "the integrator": float((vectors + 1) * one),
            "the logits of a chunk": float(logits * itemsize),
            "kernels and constraints": float(self.scratch * self.m * self.d * itemsize + self.averages * larger),
            "labels": float(self.m * 24),
        }
        # The start in float64, W and H at each time, and the parts of them that the strata are read off.
        host = {"the start": float(2 * (self.V + self.m) * self.d * 8), "saved times": float((outputs + 3) * one)}
        return Memory(device, host, float(one))


def check_memory(found: Memory, device: str, free_device: float, free_host: float, outputs: int, dtype: str) -> None:
    """Refuse what does not fit, saying what does.

    Raises
    ------
    InputError
        When the device's or the host's memory is smaller than the estimate.
    """
    shared = device == "cpu"
    needed = found.on_device + (found.on_host if shared else 0.0)
    free = min(free_device, free_host) if shared else free_device
    where = "this process" if shared else "the GPU"
    if needed > free:
        without = needed - (outputs * found.one_output if shared else 0.0)
        raise InputError(
            f"device: {device!r} needs about {gib(needed)} for this flow in {dtype}, and {where} has {gib(free)} free; "
            + _mend(free - without if shared else -1.0, found.one_output, outputs, dtype)
        )
    if not shared and found.on_host > free_host:
        raise InputError(
            f"t: {outputs} saved times need about {gib(found.on_host)} of memory, and {gib(free_host)} is free; "
            + _mend(free_host - found.on_host + outputs * found.one_output, found.one_output, outputs, dtype)
        )


def _mend(room: float, one_output: float, outputs: int, dtype: str) -> str:
    fit = int(room // one_output) if room > 0 else 0
    if 0 < fit < outputs:
        return f"{fit} output times fit."
    smaller = (
        "dtype='float32' halves it, and a smaller width does more" if dtype == "float64" else "give a smaller width"
    )
    return f"{smaller}, or let the structure's reduction (full=False) do."


def gib(number: float) -> str:
    """Bytes in GiB or MiB, to three digits."""
    return f"{number / 2**30:.3g} GiB" if number >= 2**30 else f"{max(number, 0.0) / 2**20:.3g} MiB"
