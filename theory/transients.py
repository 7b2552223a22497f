"""When strata emerge and when they collapse, as formulas, and which strata stay ahead of which.

Emergence: exact where a closed form exists, else by the linearised growth from the start.

With x = w / sqrt(kW), y = h / sqrt(kH), k = sqrt(kW kH), s = k scale and small z, -dL/dz = scale tau m_A and

    dx/dt = s tau y - kW lam_W x,      dy/dt = s tau x - kH lam_H y,

so that without ridge z grows at the rate 2 s tau, and coarse strata, whose kernels are larger, emerge first.

Collapse: at the ridge's fixed point, where g = sqrt(lam_W lam_H), the block of a stratum has the decay rates

    mu = ((A + B) (1 + rho) -+ sqrt((A + B)^2 (1 + rho)^2 - 16 A B rho)) / 2,      A = kW lam_W,  B = kH lam_H,

with rho = scale pi' z / sqrt(lam_W lam_H), pi' the slope of pi in z: scale z / sqrt(lam_W lam_H) for squared error,
z / V (z the eigenvalue of the logits) for cross-entropy at the ETF, where a common change of all strata is faster.
"""

import sympy as sp

from .attributes import Attributes
from .closed_forms import X0, Y0, Z0, mse_closed_form
from .cross_entropy_forms import HELD, FreeRay, Z, cross_entropy_closed_form, moves_on_a_ray
from .errors import InputError
from .flow import WIDTH
from .limits import limit
from .model import UFM

W0, H0 = sp.symbols("w0 h0", positive=True)


def emergence_expression(model: UFM, stratum: str) -> sp.Expr:
    """Emergence time of a stratum in terms of its start `w0`, `h0`; oo when it never emerges.

    - squared error, free, no ridge: the time at which z = tau/2, exact for any positive start;
    - squared error, free, ridge with kW lam_W = kH lam_H, balanced start: half of the plateau, exact;
    - cross-entropy with all label strata but the mean on one ray (`cross_entropy_forms`): z, which grows without bound,
      reaches the target tau, exact for a balanced start; of another its part in the growing direction is taken, as in
      the next case.  With a held factor exact for any start (the mean and what the label drops at h = 0);
    - otherwise the time at which growth linearised about the start (with its growing direction alone) reaches tau:
      exponential when H is free, linear in time when the norm of H is held (`normalized`: all modes start equal).

    Negative when the start lies beyond; no number when it lies beyond the plateau, too, which z then never crosses.
    """
    tau = model.tau[stratum]
    kW, kH = model.label_kernel.get(stratum, sp.S(0)), model.feature_kernel[stratum]
    if moves_on_a_ray(model, stratum):
        return _along_the_ray(model, stratum, tau)
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


def _along_the_ray(model: UFM, stratum: str, tau: sp.Expr) -> sp.Expr:
    """t(tau) of the closed form from w0, h0."""
    form = cross_entropy_closed_form(model, stratum)
    if isinstance(form, FreeRay):
        kW, kH = form.kernels
        z0 = sp.sqrt(kW * kH) * ((W0 / sp.sqrt(kW) + H0 / sp.sqrt(kH)) / 2) ** 2  # w0 h0 when balanced
        return form.time.subs({Z: tau, Z0: z0}, simultaneous=True)
    moving, start = (W0, H0) if form.moving == "w" else (H0, W0)
    held = start if form.held == HELD else form.held
    return form.time.subs({Z: tau, Z0: moving * held, HELD: held}, simultaneous=True)


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


def collapse_expression(model: UFM, stratum: str) -> sp.Expr:
    """E-folding time of the slowest part of a stratum's approach to its limit; `w0`, `h0` occur without ridge alone.

    - a stratum that the label drops: 1 / (kH lam_H), that of h at all times; oo without ridge on H;
    - squared error without ridge: that of z, 1 / (2 s tau) from a balanced start;
    - ridge on both factors: 1 / the lesser mu of the module's text.  For cross-entropy (one-hot) the rates of the
      coupled strata interlace with these: the slowest is at least the least of them.

    Raises
    ------
    InputError
        Where nothing is known: features of held norm, cross-entropy without ridge (log-log slow) or with soft targets.
    """
    lam_W, lam_H = model.ridge
    kH = model.feature_kernel[stratum]
    if model.constraint != "free":
        raise InputError(f"collapse_time: none is known with constraint {model.constraint}; simulate instead.")
    if stratum not in model.targets:
        return sp.oo if kH * lam_H == 0 else 1 / (kH * lam_H)
    kW, scale = model.label_kernel[stratum], model.scale
    if model.loss == "mse" and lam_W == 0 and lam_H == 0:
        start = {X0: W0 / sp.sqrt(kW), Y0: H0 / sp.sqrt(kH), Z0: W0 * H0}
        return 1 / mse_closed_form(model, stratum).rate.subs(start, simultaneous=True)
    if lam_W == 0 or lam_H == 0 or kW == 0 or kH == 0:
        raise InputError(
            f"collapse_time: on {stratum!r} it needs a ridge on both factors and positive kernels (without ridge, "
            "squared error has one); persistence() has what stays."
        )
    A, B, shrink = kW * lam_W, kH * lam_H, sp.sqrt(lam_W * lam_H)
    if model.loss == "mse":
        z = model.tau[stratum] - shrink / scale
        if z.is_nonpositive:  # it dies: the block at zero
            pull = sp.sqrt(kW * kH) * scale * model.tau[stratum]
            rate = (A + B) / 2 - sp.sqrt((A - B) ** 2 / 4 + pull**2)
            return sp.oo if z == 0 else 1 / rate
        rho = scale * z / shrink
    else:
        if any(target != 1 for target in model.targets.values()) or stratum == "1":
            raise InputError("collapse_time: with cross-entropy it needs one-hot targets and a stratum but the mean.")
        rho = limit(model)[stratum][2] / sp.sqrt(model.replication) / model.label_count
        if rho == 0:
            raise InputError(f"collapse_time: with ridge {model.ridge} nothing stays; lower it.")
    total = (A + B) * (1 + rho)
    return 2 / (total - sp.sqrt(total**2 - 16 * A * B * rho))


def exchanged_pairs(attributes: Attributes) -> dict[tuple[str, str], tuple[str, str]]:
    """Strata (A, B), A within B, with relations (T, U) such that alone z_A - z_B enters Z(U) - Z(T), and alone

        pi_A - pi_B = sum_T v_T (chi_A(T) - chi_B(T)) softmax(T) = c (softmax(U) - softmax(T)),    c > 0.

    So z_A = z_B implies g_A = g_B whatever the other strata do, and the one with the larger kernel stays ahead.

    Examples
    --------
    >>> exchanged_pairs(Attributes("kingdom[3] / genus[4]"))
    {('kingdom', 'kingdom:genus'): ('1', 'kingdom')}
    """
    names = attributes.names[1:]
    found = {}
    for A in names:
        for B in names:
            if attributes._set(A, "stratum") < attributes._set(B, "stratum"):
                differs = [T for T in attributes.names if attributes.character(A, T) != attributes.character(B, T)]
                if len(differs) == 2:
                    found[A, B] = (differs[0], differs[1])
    return found
