"""Rates whose kernel launches are recorded once as a CUDA graph and replayed as one launch.

Where matrices are small, a rate's ten launches take longer than its products.  An integrator calls the rate on few pairs
of buffers, always the same ones: each pair is run once plainly (which compiles and allocates), then recorded, then
replayed.  Temporaries come from a memory pool of the graphs' own, so that no other array ever lies where they write.
"""

from collections.abc import Callable
from typing import Any

# Floating-point operations of a rate below which launches dominate: a dozen launches of 5 us at 30 TFLOP/s.
LAUNCH_BOUND = 2e9


class Recorded:
    """A rate `(t, y, out)` that does not depend on t, recorded for each pair of buffers.

    A rate that cannot be recorded (it waits for the device, or allocates anew) is run plainly from then on.

    Attributes
    ----------
    replays : int, calls that were one launch
    recording : bool, whether rates are still recorded
    """

    def __init__(self, rhs: Callable[[float, Any, Any], None], cupy: Any) -> None:
        self.rhs, self.cupy = rhs, cupy
        self.pool = cupy.cuda.MemoryPool()
        self.graphs: dict[tuple[int, int], Any] = {}
        self.recording, self.replays = True, 0

    def __call__(self, t: float, y: Any, out: Any) -> None:
        """Write the rate at y into out."""
        key = (int(y.data.ptr), int(out.data.ptr))
        if not self.recording:
            self.rhs(t, y, out)
            return
        with self.cupy.cuda.using_allocator(self.pool.malloc):
            if key not in self.graphs:
                self.rhs(t, y, out)
                self.graphs[key] = None
                return
            graph = self.graphs[key] or self._record(key, t, y, out)
        if graph is None:
            self.rhs(t, y, out)
            return
        graph.launch()
        self.replays += 1

    def _record(self, key: tuple[int, int], t: float, y: Any, out: Any) -> Any:
        stream = self.cupy.cuda.get_current_stream()
        failed = None
        stream.begin_capture()
        try:
            self.rhs(t, y, out)
        except (self.cupy.cuda.runtime.CUDARuntimeError, RuntimeError) as error:
            failed = error
        try:
            graph = stream.end_capture()
        except (self.cupy.cuda.runtime.CUDARuntimeError, RuntimeError) as error:
            failed = failed or error
        if failed is not None:
            self.recording = False
            self.graphs.clear()
            return None
        self.graphs[key] = graph
        return graph
