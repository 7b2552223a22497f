"""The log-partition of softmax over margins, as a SymPy function that differentiates exactly and evaluates stably."""

import sympy as sp


class LogPartition(sp.Function):
    """log(1 + sum_i v_i exp(-M_i)), called as LogPartition(M_1, ..., M_n, v_1, ..., v_n).

    Kept whole by SymPy, so that code generated from an expression can evaluate it without overflow, and so that
    probabilities come out as exp(-M_i - LogPartition), which is at most 1.

    Examples
    --------
    >>> M, v = sp.symbols("M v", positive=True)
    >>> sp.diff(LogPartition(M, v), M)
    -v*exp(-M - LogPartition(M, v))
    >>> LogPartition(M, v).rewrite(sp.log)
    log(v*exp(-M) + 1)
    """

    def fdiff(self, argindex: int = 1) -> sp.Expr:
        n = len(self.args) // 2
        if argindex <= n:
            return -self.args[n + argindex - 1] * sp.exp(-self.args[argindex - 1] - self)
        return sp.exp(-self.args[argindex - n - 1] - self)

    def _eval_rewrite_as_log(self, *args: sp.Expr, **hints: object) -> sp.Expr:
        n = len(args) // 2
        return sp.log(1 + sum(v * sp.exp(-M) for M, v in zip(args[:n], args[n:], strict=True)))

    def _eval_evalf(self, precision: int) -> sp.Expr:
        return self.rewrite(sp.log)._eval_evalf(precision)
