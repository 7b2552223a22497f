"""Published special cases, in their notation, against what the package derives."""

import numpy as np
import pytest
import sympy as sp
from scipy.optimize import minimize

from ufmflow.numerics.measures import analyse
from ufmflow.numerics.simulate import gaussian, simulate
from ufmflow.theory.attributes import Attributes
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

# Zhu et al. 2021, "A Geometric Analysis of Neural Collapse with Unconstrained Features": K classes, n samples each,
#     min over W (K x d), H (d x N), N = K n, of  (1/N) sum CE(W h_ki, y_k) + lam_W/2 |W|^2 + lam_H/2 |H|^2.
# Every minimiser has h_ki = sqrt(lam_W / (n lam_H)) w^k (self-duality, no variability), equal norms, mean zero, and
# W W' a multiple of I - J/K.  (Their bias vanishes at the optimum by symmetry and is left out here.)
# Of the last case's ridge nothing survives.
CASES = [(4, 1, 0.01, 0.01), (4, 3, 0.005, 0.02), (6, 2, 0.01, 0.002), (3, 4, 0.3, 0.01), (4, 1, 0.3, 0.3)]


def objective(K: int, n: int, lam_W: float, lam_H: float, d: int):
    N = K * n
    label = np.repeat(np.arange(K), n)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        W, H = x[: K * d].reshape(K, d), x[K * d :].reshape(d, N)
        Z = W @ H
        shift = Z.max(axis=0)
        P = np.exp(Z - shift)
        total = P.sum(axis=0)
        loss = (np.log(total) + shift - Z[label, np.arange(N)]).mean()
        G = P / total
        G[label, np.arange(N)] -= 1
        G /= N
        ridge = lam_W / 2 * (W**2).sum() + lam_H / 2 * (H**2).sum()
        return loss + ridge, np.concatenate([(G @ H.T + lam_W * W).ravel(), (W.T @ G + lam_H * H).ravel()])

    return value_and_gradient


def global_minimiser(K: int, n: int, lam_W: float, lam_H: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    d = K + 2
    start = np.random.default_rng(seed).standard_normal(K * d + d * K * n)
    options = {"maxiter": 20000, "maxfun": 40000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 50}
    found = minimize(objective(K, n, lam_W, lam_H, d), start, jac=True, method="L-BFGS-B", options=options)
    return found.x[: K * d].reshape(K, d), found.x[K * d :].reshape(d, K * n)


def derived(K: int, n: int, lam_W: float, lam_H: float) -> UFM:
    formula, labels = (f"class[{K}]", None) if n == 1 else (f"class[{K}] / sample[{n}]", "class")
    return UFM(formula, labels=labels, ridge=(lam_W, lam_H))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_zhu_et_al_the_global_minimiser_is_the_derived_limit(case, seed):
    """A gradient of 1e-9 at curvatures of at least the ridge leaves errors of about 1e-6 in W and H."""
    K, n, lam_W, lam_H = case
    W, H = global_minimiser(*case, seed)
    w, h, z = (float(x) for x in derive(derived(*case)).limit()["class"])
    centred = np.eye(K) - 1 / K
    assert np.allclose(W @ W.T, w**2 * centred, atol=1e-4 * max(w**2, 1))
    assert np.allclose(H.T @ H, h**2 * np.kron(centred, np.ones((n, n)) / n), atol=1e-4 * max(h**2, 1))
    assert np.allclose(W @ H, z / np.sqrt(n) * np.kron(centred, np.ones((1, n))), atol=1e-4 * max(z, 1))
    # Their norms: |w^k|^2 = w^2 (1 - 1/K), and |h|^2 = lam_W / (n lam_H) |w^k|^2.
    assert np.allclose((H**2).sum(axis=0), lam_W / (n * lam_H) * w**2 * (1 - 1 / K), atol=1e-4 * max(h**2, 1))
    if z > 0:
        assert not np.allclose(W @ W.T, 1.01 * w**2 * centred, atol=1e-4 * max(w**2, 1))


@pytest.mark.parametrize("case", CASES)
def test_zhu_et_al_the_limit_minimises_the_convex_relaxation(case):
    """Z minimises L(Z) + sqrt(lam_W lam_H) |Z|_* iff -G is a subgradient of the nuclear norm: exactly, in rationals.

    With U V' the polar part of Z, that is -G = lam (U V' + R) with R orthogonal to Z's spaces and |R| <= 1.
    """
    K, n, lam_W, lam_H = (sp.nsimplify(x, rational=True) for x in case)
    lam = sp.sqrt(lam_W * lam_H)
    *_, z = derive(derived(*case)).limit()["class"]
    # Z = z / sqrt(n) (I - J/K) repeated: softmax has the entries p on the label and q elsewhere.
    p = sp.exp(z / sp.sqrt(n)) / (sp.exp(z / sp.sqrt(n)) + K - 1) if z > 0 else 1 / K
    q = (1 - p) / (K - 1)
    # -G = (Y - S) / N has the singular value (1 - p + q) sqrt(n) / N on the label's strata and 0 on the mean.
    pull = (1 - p + q) * sp.sqrt(n) / (K * n)
    if z > 0:
        assert sp.simplify(pull - lam) == 0  # on Z's own directions -G is lam U V'; R = 0
        assert sp.simplify(pull - lam * sp.Rational(101, 100)) != 0
    else:
        assert pull <= lam  # Z = 0 is optimal iff |G| <= lam
        assert lam_W * lam_H * n * K**2 >= 1


@pytest.mark.parametrize("case", CASES[:3])
def test_papyan_et_al_the_four_properties_hold_at_the_limit(case):
    K, n, *_ = case
    model = derived(*case)
    # Variability decays at kH lam_H, at least 2e-3: e^-40 of it is left.
    found = simulate(UFM(**(model.config() | {"width": K * n + 1})), [0, 2e4], init=gaussian(0.3), full=True, seed=1)
    first, last = (
        analyse(
            found.data["H"].values[i], model.attributes, labels=np.repeat(np.arange(K), n), W=found.data["W"].values[i]
        )
        for i in (0, 1)
    )
    if n > 1:
        assert last.nc1 < 1e-10 < first.nc1
    assert last.nc2 < 1e-5 < first.nc2 and last.nc2_equinorm < 1e-5 < first.nc2_equinorm
    assert last.nc3 < 1e-5 < first.nc3 and last.nc4 == 0.0


# Thrampoulidis et al. 2022, "Imbalance Trouble": with label frequencies that differ the minimiser is not the ETF.  Its
# geometry is that of the SEL matrix, Z-hat = Y - J/V with each column repeated as often as its label occurs: with
# Z-hat = U S V', W W' ~ U S U' and H' H ~ V S V'.  Small ridge: the direction of the regularisation path.
COUNTS = np.array([5, 5, 1, 1])  # step imbalance, ratio 5


def imbalanced_minimiser(lam: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    V, m, d = len(COUNTS), COUNTS.sum(), 6
    label = np.repeat(np.arange(V), COUNTS)

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        W, H = x[: V * d].reshape(V, d), x[V * d :].reshape(d, m)
        Z = W @ H
        Z = Z - Z[label, np.arange(m)]
        shift = Z.max(axis=0)
        P = np.exp(Z - shift)
        total = P.sum(axis=0)
        loss = (np.log(total) + shift).sum()
        G = P / total
        G[label, np.arange(m)] = 0
        G[label, np.arange(m)] = -G.sum(axis=0)
        value = loss + lam / 2 * (x**2).sum()
        return value / lam, np.concatenate([(G @ H.T + lam * W).ravel(), (W.T @ G + lam * H).ravel()]) / lam

    start = np.random.default_rng(seed).standard_normal(V * d + d * m)
    options = {"maxiter": 20000, "maxfun": 60000, "ftol": 1e-15, "gtol": 1e-9, "maxcor": 60}
    for _ in range(3):  # restarts renew the memory of curvatures
        start = minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options).x
    return start[: V * d].reshape(V, d), start[V * d :].reshape(d, m)


def unit(X: np.ndarray) -> np.ndarray:
    return X / np.linalg.norm(X)


def test_thrampoulidis_et_al_unequal_frequencies_lead_to_seli_not_to_the_etf():
    V = len(COUNTS)
    sel = np.repeat(np.eye(V) - 1 / V, COUNTS, axis=1)
    U, s, Vt = np.linalg.svd(sel, full_matrices=False)
    gram_W, gram_H = unit((U * s) @ U.T), unit((Vt.T * s) @ Vt)
    etf_W = unit(np.eye(V) - 1 / V)
    etf_H = unit(np.repeat(np.repeat(np.eye(V) - 1 / V, COUNTS, axis=0), COUNTS, axis=1))
    apart = []
    for lam in (1e-2, 1e-4, 1e-6):
        W, H = imbalanced_minimiser(lam, seed=0)
        apart.append((np.linalg.norm(unit(W @ W.T) - gram_W), np.linalg.norm(unit(H.T @ H) - gram_H)))
    # The direction is reached like 1 / ln(1/lam); a hundredfold smaller ridge takes it nearer each time.
    assert np.all(np.diff([a for a, _ in apart]) < 0) and np.all(np.diff([b for _, b in apart]) < 0), apart
    assert apart[-1][0] < 0.05 and apart[-1][1] < 0.05, apart
    assert np.linalg.norm(unit(H.T @ H) - etf_H) > 3 * apart[-1][1]
    assert np.linalg.norm(unit(W @ W.T) - etf_W) > 3 * apart[-1][0]


def test_unequal_frequencies_are_no_model_of_the_family():
    """The family's labels are balanced by construction; a table whose labels are not is refused, not fitted."""
    with pytest.raises(InputError, match="^labels"):
        Attributes("context[12]").kept_by(np.repeat(np.arange(4), COUNTS))
    assert Attributes("class[4] / sample[3]").kept_by(np.repeat(np.arange(4), 3)) == ("class",)


# Ji et al. 2022, "An Unconstrained Layer-Peeled Perspective on Neural Collapse": without ridge, balanced labels, the
# flow of cross-entropy tends in direction to the ETF.
def test_ji_et_al_without_ridge_the_direction_is_the_etf():
    model = UFM("class[4]", width=5, reduction="sum")
    found = simulate(model, [0, 1.0, 1e2, 1e4, 1e6], init=gaussian(0.3), full=True, seed=2)
    pairs = zip(found.data["H"].values, found.data["W"].values, strict=True)
    measures = [analyse(H, model.attributes, W=W) for H, W in pairs]
    distances = [m.etf_distance for m in measures]
    # The part of the start that nothing moves keeps its size, the rest grows like sqrt(ln t): a logarithmic rate.
    assert np.all(np.diff(distances) < 0) and distances[-1] < 0.1 < distances[0]
    assert np.all(np.diff([m.nc3 for m in measures]) < 0)
    # Control: a kernel above the threshold keeps the attributes for ever.
    kernel = {"a": 10, "b": 10, "a:b": 1}
    kept = UFM("a[2] * b[2]", feature_kernel=kernel, label_kernel=kernel, reduction="sum", width=5)
    assert derive(kept).persistence().phase == "attributes only"
    other = simulate(kept, [0, 1e6], init=gaussian(0.01), full=True, seed=2)
    assert analyse(other.data["H"].values[-1], kept.attributes).etf_distance > 0.3
