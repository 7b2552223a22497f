"""The flow of whole matrices at the machine's speed, in place on flat vectors of NumPy or CuPy.

    dW/dt = -KW (G H^T + lam_W W),   dH/dt = -(W^T G + lam_H H) KH

and its other constraints as `matrices.MatrixFlow` states them; that class is what this one is tested against.  A rate
is three matrix products and one pass over the logits, which are held a chunk of contexts at a time, row by row a
context: Z (n, V) = H^T W^T.  Soft targets and squared error need no V x m targets: T H^T and W^T T are averages over
axes of V x d numbers.  For squared error Z H^T = W (H H^T), so that narrow matrices need no logits at all.
"""

from typing import Any

import numpy as np

from ..theory.errors import InputError
from ..theory.model import UFM
from . import strata
from .column_chunks import Layout, chunk_rows
from .devices import Cpu, Cuda, Labels
from .matrices import MatrixFlow, MeasuredKernel, StructuredKernel, label_of_context


def residuals_on_logits(model: UFM) -> bool:
    """Whether softmax minus targets is formed on the logits: for one-hot labels, so that nothing of it is lost."""
    return model.loss == "cross_entropy" and set(model.targets.values()) == {1}


def layout_of(flow: MatrixFlow, width: int, itemsize: int, chunk_bytes: int, rows: int | None = None) -> Layout:
    """What a `FullFlow` will hold; `rows` contexts in a chunk, chosen by the logits' size if None."""
    model, d = flow.model, int(width)
    V, m = int(model.label_count), int(model.contexts)
    by_gram = model.loss == "mse" and 2 * d * (V + m) < 3 * V * m  # fewer operations
    buffers = {"free": int(isinstance(flow.kernel, MeasuredKernel)), "sphere": 1, "normalized": 2}
    kernels = [k for k in (flow.kernel, flow.label_kernel) if isinstance(k, StructuredKernel) and k.multiple is None]
    acting = [k.attributes for k in kernels] + [model.label_attributes] * (not residuals_on_logits(model))
    return Layout(
        V, m, d, rows or chunk_rows(V, m, itemsize, chunk_bytes), by_gram, logits=4 if model.loss == "mse" else 1,
        scratch=buffers[model.constraint], averages=1.0 + 2.0 * max(map(strata.spread, acting)) if acting else 0.0,
    )  # fmt: skip


class FullFlow:
    """Rates and losses of a model on flat states y = (W, F^T): W (V, d) by rows, then features F^T (m, d) by rows.

    Parameters
    ----------
    flow : MatrixFlow, which names the model and its kernels
    width : int, d
    device : Cpu or Cuda, from `devices.open_device`
    dtype : "float64" or "float32"
    rows : int, optional, contexts in a chunk; chosen by the logits' size

    Examples
    --------
    >>> from ufmflow.theory.model import UFM
    >>> model = UFM("color[2] * shape[2]", ridge=1e-2)
    >>> full = FullFlow(MatrixFlow.of(model), width=4)
    >>> y = full.state(np.eye(4), np.eye(4))
    >>> out = np.empty_like(y)
    >>> round(full.loss_and_rates(y, out), 6), round(float(out[0]), 6)
    (0.743668, 0.121158)
    """

    def __init__(
        self,
        flow: MatrixFlow,
        width: int,
        device: Cpu | Cuda | None = None,
        dtype: str = "float64",
        rows: int | None = None,
    ) -> None:
        self.flow, self.device = flow, device or Cpu()
        self.xp, self.dtype = self.device.xp, np.dtype(dtype)
        self.layout = layout_of(flow, width, self.dtype.itemsize, self.device.chunk_bytes, rows)
        self.V, self.m, self.d = self.layout.V, self.layout.m, self.layout.d
        self.size = (self.V + self.m) * self.d
        self.labels = flow.model.label_attributes
        self.targets = StructuredKernel({A: float(x) for A, x in flow.model.targets.items()}, self.labels)
        self.on_logits = residuals_on_logits(flow.model)
        self.kernel = self._on_device(flow.kernel)
        self._allocate()

    def _on_device(self, kernel: Any) -> Any:
        if not isinstance(kernel, MeasuredKernel):
            return kernel
        matrix = self.xp.asarray(kernel.matrix, dtype=self.dtype)
        if matrix.shape != (self.m, self.m):
            raise InputError(f"kernel: its shape is {matrix.shape}; give one of ({self.m}, {self.m}).")
        return MeasuredKernel(matrix)

    def _allocate(self) -> None:
        xp = self.xp
        empty = lambda *shape: xp.empty(shape, self.dtype)
        label = xp.asarray(label_of_context(self.flow.model.attributes, self.labels))
        self.label = label
        chunks = [slice(i, min(i + self.layout.rows, self.m)) for i in range(0, self.m, self.layout.rows)]
        rows = xp.full(self.m, -1) if not self.on_logits else label
        self.chunks = [(chunk, Labels(xp, rows[chunk], self.V)) for chunk in chunks]
        if self.layout.by_gram:
            self.gram = empty(self.d, self.d)
        else:
            self.Z = empty(self.layout.rows, self.V)
        self.scratch = empty(self.m, self.d) if self.layout.scratch else None
        self.H = empty(self.m, self.d) if self.layout.scratch == 2 else None

    def state(self, W: Any, F: Any) -> Any:
        """The flat state of W (V, d) and F (d, m), on the device."""
        y = self.xp.empty(self.size, self.dtype)
        for part, given in zip(self.split(y), (W, F.T), strict=True):
            part[...] = self.xp.asarray(given)
        return y

    def split(self, y: Any) -> tuple[Any, Any]:
        """W (V, d) and F^T (m, d), as views of a state or rate."""
        at = self.V * self.d
        return y[:at].reshape(self.V, self.d), y[at:].reshape(self.m, self.d)

    def embedded(self, F: Any) -> Any:
        """H^T (m, d): what enters the logits, in this object's buffer or F itself."""
        if self.H is None:
            return F
        return self.xp.multiply(F, self._shrinkage(F)[:, None], out=self.H)

    def rhs(self, t: float, y: Any, out: Any) -> None:
        """Write the rate at y (n,) into out (n,); it does not depend on t."""
        self._rates(y, out, None)

    def loss_and_rates(self, y: Any, out: Any) -> float:
        """The loss without ridge, and the rates into `out`; for cross-entropy from the same logits.

        With identity kernels and no ridge the rates are minus the gradients.
        """
        if self.flow.model.loss == "mse":
            self._rates(y, out, None)
            return self.loss(y)
        loss = self.xp.empty(self.m, self.dtype)
        self._rates(y, out, loss)
        return self._total(y, loss)

    def loss(self, y: Any) -> float:
        """The loss without ridge at a state."""
        W, F = self.split(y)
        H = self.embedded(F)
        loss = self.xp.empty(self.m, self.dtype)
        Z = self.xp.empty((self.layout.rows, self.V), self.dtype) if self.layout.by_gram else self.Z
        for chunk, labels in self.chunks:
            z = Z[: chunk.stop - chunk.start]
            if self.flow.model.loss == "mse":
                self.device.product(H[chunk], W.T, z)
                z -= self._target_rows(chunk)
                loss[chunk] = 0.5 * self.device.row_dots(z, z)
            else:
                self._residuals(W, H, chunk, labels, z, loss)
        return self._total(y, loss)

    def _total(self, y: Any, loss: Any) -> float:
        if self.flow.model.loss != "mse" and not self.on_logits:
            W, F = self.split(y)
            loss -= self.device.row_dots(self.embedded(F), self.targets.along(W, axis=0)[self.label])
        return self.flow.scale * float(loss.sum(dtype=np.float64))

    def _rates(self, y: Any, out: Any, loss: Any) -> None:
        W, F = self.split(y)
        grow, change = self.split(out)
        H = self.embedded(F)
        if self.layout.by_gram:
            self._descend_by_gram(W, H, grow, change)
        else:
            self._descend(W, H, grow, change, loss)
        if not self.on_logits:
            self._add_targets(W, H, grow, change)
        self._follow_labels(W, grow)
        self._follow_features(F, H, change)

    def _descend(self, W: Any, H: Any, grow: Any, change: Any, loss: Any) -> None:
        """Minus both gradients of the loss, chunk by chunk."""
        for i, (chunk, labels) in enumerate(self.chunks):
            Z = self.Z[: chunk.stop - chunk.start]
            if self.flow.model.loss == "mse":
                self.device.product(H[chunk], W.T, Z)
                Z *= -self.flow.scale
            else:
                self._residuals(W, H, chunk, labels, Z, loss)
            self.device.product(Z.T, H[chunk], grow, add=i > 0)
            self.device.product(Z, W, change[chunk])

    def _residuals(self, W: Any, H: Any, chunk: slice, labels: Labels, Z: Any, loss: Any) -> None:
        where = None if loss is None else loss[chunk]
        logits = lambda Z: self.device.product(H[chunk], W.T, Z)
        self.device.residuals(logits, Z, labels, self.flow.scale, where)

    def _descend_by_gram(self, W: Any, H: Any, grow: Any, change: Any) -> None:
        """Minus the gradients of |W H|^2 / 2, from products of d x d matrices."""
        for X, Y, out in ((W, H, grow), (H, W, change)):
            self.device.product(Y.T, Y, self.gram)
            self.gram *= -self.flow.scale
            self.device.product(X, self.gram, out)

    def _add_targets(self, W: Any, H: Any, grow: Any, change: Any) -> None:
        """The targets' parts scale T H^T and scale W^T T."""
        self.device.axpy(
            self.flow.scale, self.xp.ascontiguousarray(self.targets.along(self._by_label(H), axis=0)), grow
        )
        self.device.axpy(self.flow.scale, self.targets.along(W, axis=0)[self.label], change)

    def _by_label(self, H: Any) -> Any:
        """Rows of H (m, d) summed over the contexts of each label: (V, d)."""
        if self.V == self.m:
            return H
        factors = self.flow.model.attributes.factors
        dropped = tuple(i for i, factor in enumerate(factors) if factor.name not in self.labels.sizes)
        cells = H.reshape(*self.flow.model.attributes.shape, self.d)
        return cells.sum(axis=dropped).reshape(self.V, self.d)

    def _target_rows(self, chunk: slice) -> Any:
        """Targets of a chunk's contexts (n, V)."""
        label = self.label[chunk]
        rows = self.xp.zeros((len(label), self.V), self.dtype)
        rows[self.xp.arange(len(label)), label] = 1.0
        return self.targets.along(rows, axis=1)

    def _follow_labels(self, W: Any, grow: Any) -> None:
        if self.flow.ridge[0]:
            self.device.axpy(-self.flow.ridge[0], W, grow)
        self._act(self.flow.label_kernel, grow, W)

    def _follow_features(self, F: Any, H: Any, change: Any) -> None:
        """From minus the gradient by H to the rate of F."""
        constraint = self.flow.model.constraint
        if constraint == "free":
            if self.flow.ridge[1]:
                self.device.axpy(-self.flow.ridge[1], F, change)
        else:
            self._make_tangent(change, H)
        if constraint == "normalized":
            change *= self._shrinkage(F)[:, None]
        self._act(self.kernel, change, F)
        if constraint == "sphere":
            self._make_tangent(change, H)
        if self.flow.decay:
            self.device.axpy(-self.flow.decay, F, change)

    def _make_tangent(self, X: Any, H: Any) -> None:
        """Take from each row of X (m, d) its part along H's, in place."""
        along = self.device.row_dots(X, H) / self.device.row_dots(H, H)
        X -= self.xp.multiply(H, along[:, None], out=self.scratch)

    def _shrinkage(self, F: Any) -> Any:
        """sqrt(d) / |f_j| (m,)."""
        return self.d**0.5 / self.xp.sqrt(self.device.row_dots(F, F))

    def _act(self, kernel: Any, X: Any, F: Any) -> None:
        """A kernel on the rows of X (n, d), in place."""
        if isinstance(kernel, MeasuredKernel):
            self.device.product(kernel.matrix.T, X, self.scratch)
            X[...] = self.scratch
        elif not isinstance(kernel, StructuredKernel):
            X[...] = self.xp.asarray(kernel(X.T, F.T)).T
        elif kernel.multiple is None:
            X[...] = strata.apply(X, kernel.eigenvalues, kernel.attributes, axis=0)
        elif kernel.multiple != 1.0:
            X *= kernel.multiple
