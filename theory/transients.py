"""When strata emerge: exact half-saturation where a closed form exists, else the linearised growth from the start.

With x = w / sqrt(kW), y = h / sqrt(kH), k = sqrt(kW kH), s = k scale and small z, -dL/dz = scale tau m_A and

    dx/dt = s tau y - kW lam_W x,      dy/dt = s tau x - kH lam_H y,

so that without ridge z grows at the rate 2 s tau, and coarse strata, whose kernels are larger, emerge first.
"""

import sympy as sp

from .closed_forms import X0, Y0, Z0
from .flow import WIDTH
from .model import UFM

W0, H0 = sp.symbols("w0 h0", positive=True)


def emergence_expression(model: UFM, stratum: str) -> sp.Expr:
    """Emergence time of a stratum in terms of its start `w0`, `h0`; oo when it never emerges.

    - squared error, free, no ridge: the time at which z = tau/2, exact for any positive start;
    - squared error, free, ridge with kW lam_W = kH lam_H, balanced start: half of the plateau, exact;
    - otherwise the time at which growth linearised about the start (with its growing direction alone) reaches tau:
      exponential when H is free, linear in time when the norm of H is held (`normalized`: all modes start equal).

    Negative when the start lies beyond; no number when it lies beyond the plateau, too, which z then never crosses.
    """
    tau = model.tau[stratum]
    kW, kH = model.label_kernel.get(stratum, sp.S(0)), model.feature_kernel[stratum]
    if tau.is_nonpositive or kW == 0 or (stratum == "1" and model.loss == "cross_entropy"):
        return sp.oo  # nothing pulls z up on the stratum
    if model.constraint != "free":
        h = H0 if model.constraint == "sphere" else sp.sqrt(WIDTH if model.width is None else model.width)
        return (tau - W0 * h) / (kW * tau * model.scale * h**2)
    if kH == 0:
        return sp.oo
    k = sp.sqrt(kW * kH)
    s = k * model.scale
    mu_W, mu_H = kW * model.ridge[0], kH * model.ridge[1]
    if model.loss == "mse" and mu_W == mu_H == 0:
        time = _half_saturation(k, s, tau)
    elif model.loss == "mse" and sp.expand(mu_W - mu_H) == 0:
        plateau = tau - mu_W / s
        if plateau.is_nonpositive:
            return sp.oo
        time = sp.log(plateau / Z0 - 1) / (2 * s * plateau)
    else:
        time = _linear_growth(k, s * tau, tau, mu_W, mu_H)
    return time.subs({X0: W0 / sp.sqrt(kW), Y0: H0 / sp.sqrt(kH), Z0: W0 * H0}, simultaneous=True)


def _half_saturation(k: sp.Expr, s: sp.Expr, tau: sp.Expr) -> sp.Expr:
    """With u = z + sqrt(z^2 + C^2/4): (u_plus - u) / (u - u_minus) decays at the rate 2 s sqrt(tau^2 + C^2/4)."""
    C = k * (X0 - Y0) * (X0 + Y0)

    def u(z: sp.Expr) -> sp.Expr:
        return z + sp.sqrt(z**2 + C**2 / 4)

    above = u(tau)
    below = -(C**2) / (4 * above)
    start, half = u(k * X0 * Y0), u(tau / 2)
    ratio = (above - start) * (half - below) / ((start - below) * (above - half))
    return sp.log(ratio) / (2 * s * sp.sqrt(tau**2 + C**2 / 4))


def _linear_growth(k: sp.Expr, pull: sp.Expr, tau: sp.Expr, mu_W: sp.Expr, mu_H: sp.Expr) -> sp.Expr:
    """Growing eigenvalue of [[-mu_W, pull], [pull, -mu_H]], and the start's part along its eigenvector."""
    growth = sp.sqrt((mu_W - mu_H) ** 2 / 4 + pull**2) - (mu_W + mu_H) / 2
    if growth.is_nonpositive:
        return sp.oo
    first, second = growth + mu_H, pull
    along = (first * X0 + second * Y0) / (first**2 + second**2)
    return sp.log(tau / (k * along**2 * first * second)) / (2 * growth)
