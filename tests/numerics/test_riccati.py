"""The Riccati solution against the published formula at 400 digits, integration, and the reduced closed forms."""

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from ufmflow.numerics.matrices import MatrixFlow, symmetric_start
from ufmflow.numerics.riccati import riccati_solution
from ufmflow.numerics.simulate import simulate
from ufmflow.theory.errors import InputError
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive


def balanced_start(V: int, m: int, d: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """W = P A^T, H = A Q^T with orthonormal columns of P and Q: W^T W = H H^T = A A^T."""
    random = np.random.default_rng(seed)
    k = min(V, m)
    A = scale * random.standard_normal((d, k))
    P, Q = (np.linalg.qr(random.standard_normal((n, n)))[0][:, :k] for n in (V, m))
    return P @ A.T, A @ Q.T


def unbalanced_start(V: int, m: int, d: int, balance: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """W^T W = H H^T + balance I, for d <= V, balance > 0."""
    random = np.random.default_rng(seed)
    H = 0.5 * random.standard_normal((d, m))
    values, axes = np.linalg.eigh(H @ H.T + balance * np.eye(d))
    return np.linalg.qr(random.standard_normal((V, d)))[0] * np.sqrt(values) @ axes.T, H


def targets(V: int, m: int, rank: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((V, rank)) @ random.standard_normal((rank, m))


def published(W0, H0, T, time, balance=0.0, decay=0.0) -> np.ndarray:
    """S = e^(F t) R0 [I + R0^T phi R0]^-1 R0^T e^(F t), phi = (e^(2Ft) - I) / (2F), with 400 digits, rescaled time."""
    V, m = T.shape
    with mpmath.workdps(400):
        F = mpmath.zeros(V + m)
        for i in range(V + m):
            F[i, i] = (1 if i < V else -1) * mpmath.mpf(balance) / 2 - mpmath.mpf(decay)
        for i in range(V):
            for j in range(m):
                F[i, V + j] = F[V + j, i] = mpmath.mpf(float(T[i, j]))
        f, axes = mpmath.eigsy(F)
        rows = axes.T * mpmath.matrix(np.vstack([W0, H0.T]).tolist())
        phi = [mpmath.expm1(2 * x * time) / (2 * x) if abs(x) > 1e-200 else mpmath.mpf(time) for x in f]
        B = mpmath.eye(rows.cols) + rows.T * mpmath.diag(phi) * rows
        grown = axes * mpmath.diag([mpmath.exp(x * time) for x in f]) * rows
        return np.array((grown * mpmath.inverse(B) * grown.T).tolist(), dtype=float)


def is_published(solution, T, W0, H0, balance=0.0, decay=0.0, scale=1.0) -> bool:
    """To 1e-11 of |S|: S loses digits as the start does, whose W^T W - H H^T is a multiple of I to 1e-16 alone.

    That shifts eigenvalues of F by about 1e-16, times up to t = 60.  400 digits hold e^(2 f t) with f up to some 5.
    """
    V = T.shape[0]
    for i, t in enumerate(solution.t):
        S = published(W0, H0, T, mpmath.mpf(t) * scale, balance, decay)
        blocks = ((solution.gram_W[i], S[:V, :V]), (solution.Z[i], S[:V, V:]), (solution.gram_H[i], S[V:, V:]))
        if max(abs(mine - theirs).max() for mine, theirs in blocks) > 1e-11 * abs(S).max():
            return False
    return True


@settings(max_examples=12)
@given(
    st.integers(1, 4), st.integers(1, 4), st.integers(1, 6), st.integers(0, 3), st.floats(-8, 0.5), st.integers(0, 99)
)
@example(4, 3, 2, 3, -2.0, 0)
@example(3, 4, 6, 1, -6.0, 1)
def test_balanced_starts_follow_the_published_formula(V, m, d, rank, decade, seed):
    W0, H0 = balanced_start(V, m, d, 10.0**decade, seed)
    T = targets(V, m, rank, seed)
    times = [0.0, 0.7, 6.0, 40.0]
    solution = riccati_solution(W0, H0, T, times, reduction="sum")
    assert is_published(solution, T, W0, H0)
    decaying = riccati_solution(W0, H0, T, times, ridge=0.3, reduction="sum")
    assert is_published(decaying, T, W0, H0, decay=0.3)


@settings(max_examples=8)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 3), st.floats(0.01, 3), st.integers(0, 99))
def test_unbalanced_starts_follow_the_published_formula(d, m, rank, balance, seed):
    W0, H0 = unbalanced_start(4, m, d, balance, seed)
    T = targets(4, m, rank, seed)
    assert is_published(riccati_solution(W0, H0, T, [0.3, 5.0, 60.0], reduction="sum"), T, W0, H0, balance)
    mirrored = riccati_solution(H0.T, W0.T, T.T, [0.3, 5.0, 60.0], reduction="sum")  # lambda = -balance
    assert is_published(mirrored, T.T, H0.T, W0.T, -balance)


def test_a_wrong_balance_ridge_or_time_is_noticed():
    W0, H0 = unbalanced_start(4, 3, 2, 0.5, 0)
    T = targets(4, 3, 3, 0)
    solution = riccati_solution(W0, H0, T, [1.0], reduction="sum")
    assert is_published(solution, T, W0, H0, 0.5)
    assert not is_published(solution, T, W0, H0, -0.5)
    assert not is_published(solution, T, W0, H0, 0.5 + 1e-8)
    assert not is_published(solution, T, W0, H0, 0.5, decay=1e-9)
    assert not is_published(solution, T, W0, H0, 0.5, scale=1 + 1e-9)


def integrated(W0, H0, T, times, kernel=(1.0, 1.0), ridge=(0.0, 0.0)) -> list[tuple[np.ndarray, np.ndarray]]:
    """W and H by DOP853 on the equations as they are written."""
    V, d = W0.shape

    def rhs(_, y):
        W, H = y[: V * d].reshape(V, d), y[V * d :].reshape(d, -1)
        G = (W @ H - T) / T.shape[1]
        dW, dH = -kernel[0] * (G @ H.T + ridge[0] * W), -kernel[1] * (W.T @ G + ridge[1] * H)
        return np.concatenate([dW.ravel(), dH.ravel()])

    start = np.concatenate([W0.ravel(), H0.ravel()])
    found = solve_ivp(rhs, (0, times[-1]), start, method="DOP853", rtol=1e-12, atol=1e-14, t_eval=times)
    return [(y[: V * d].reshape(V, d), y[V * d :].reshape(d, -1)) for y in found.y.T]


def follows(solution, pairs) -> bool:
    """Grams and logits to 1e-9: DOP853 at rtol 1e-12 over some hundred steps of a growing flow."""
    return all(
        np.allclose(mine, theirs, rtol=0, atol=1e-9)
        for i, (W, H) in enumerate(pairs)
        for mine, theirs in ((solution.gram_W[i], W @ W.T), (solution.Z[i], W @ H), (solution.gram_H[i], H.T @ H))
    )


@pytest.mark.parametrize("kernel", [(1.0, 1.0), (2.0, 0.5), (0.3, 3.0)])
@pytest.mark.parametrize("with_ridge", [False, True])
def test_unequal_numbers_as_kernels_are_rescaled(kernel, with_ridge):
    ridge = (0.02 / kernel[0], 0.02 / kernel[1]) if with_ridge else (0.0, 0.0)
    turn = (kernel[1] / kernel[0]) ** 0.25
    W0, H0 = balanced_start(4, 5, 3, 0.3, 7)
    W0, H0 = W0 / turn, H0 * turn
    T, times = targets(4, 5, 4, 7), np.array([0.0, 1.0, 10.0, 30.0])
    pairs = integrated(W0, H0, T, times, kernel, ridge)
    assert follows(riccati_solution(W0, H0, T, times, kernel, ridge), pairs)
    assert not follows(riccati_solution(W0, H0, T, times * 1.001, kernel, ridge), pairs)


def test_width_one_starts_anywhere_and_does_not_turn():
    random = np.random.default_rng(3)
    W0, H0, T = random.standard_normal((3, 1)), random.standard_normal((1, 4)), targets(3, 4, 3, 3)
    times = np.array([0.0, 1.0, 20.0])
    solution = riccati_solution(W0, H0, T, times)
    for i, (W, H) in enumerate(integrated(W0, H0, T, times)):
        assert np.allclose(solution.W[i], W, rtol=0, atol=1e-9) and np.allclose(solution.H[i], H, rtol=0, atol=1e-9)


def test_the_width_turns_in_general():
    """Beyond width 1 the flow's own W is another root of the same Gram: see the counterexample of the same name."""
    W0, H0 = balanced_start(4, 4, 3, 0.5, 0)
    T, times = targets(4, 4, 4, 0), np.array([0.0, 2.0])
    solution, pairs = riccati_solution(W0, H0, T, times), integrated(W0, H0, T, times)
    assert follows(solution, pairs)
    assert np.allclose(solution.W[0], W0, rtol=0, atol=1e-15)
    assert abs(solution.W[1] - pairs[1][0]).max() > 1e-3
    # A rotation takes one to the other.
    left, _, right = np.linalg.svd(solution.W[1].T @ pairs[1][0] + solution.H[1] @ pairs[1][1].T)
    assert np.allclose(solution.W[1] @ (left @ right), pairs[1][0], rtol=0, atol=1e-9)


@pytest.mark.parametrize("start", [(0.05, 0.05), (0.3, 0.02), (0.01, 1.2)])
def test_symmetric_starts_give_the_reduced_closed_forms(start):
    """A value of w^2 - h^2 for each stratum, and one for the strata that the label drops: parts that never meet."""
    model = UFM("(a[2] * b[2]) / c[2]", "a * b", loss="mse", targets={"a": 1, "b": "1/2", "a:b": "1/4"})
    names = list(model.attributes.names)
    w = {A: start[0] * (1 + i) for i, A in enumerate(model.targets)}
    h = {A: start[1] * (1 + i) for i, A in enumerate(names)}
    W0, H0 = symmetric_start(model, w, h, width=9, seed=0)
    T = MatrixFlow.of(model).targets
    times = np.array([0.0, 1.0, 30.0, 1e3, 1e6])
    solution = riccati_solution(W0, H0, T, times)
    assert len(solution.balance) > 1
    system = derive(model)
    expected = {A: system.closed_form(A)(times, (w[A], h[A])) for A in model.targets}
    for i in range(times.size):
        found = np.linalg.svd(solution.Z[i], compute_uv=False)
        multiple = [expected[A][i] for A in model.targets for _ in range(int(model.attributes.multiplicities[A]))]
        # Singular values to 1e-12 of the largest; the start is made with a few roundings.
        assert np.allclose(found, sorted(multiple, reverse=True), rtol=0, atol=1e-12 * max(multiple))


def test_whole_simulations_agree():
    model = UFM("a[4] / b[2]", "a", loss="mse", width=3)
    W0, H0 = balanced_start(4, 8, 3, 0.1, 5)
    times = np.array([0.0, 5.0, 100.0])
    data = simulate(model, times, init=(W0, H0), full=True, rtol=1e-11, atol=1e-13).data
    solution = riccati_solution(W0, H0, MatrixFlow.of(model).targets, times)
    Z = np.einsum("tlf,tcf->tlc", data["W"].values, data["H"].values)
    assert np.allclose(solution.Z, Z, rtol=0, atol=1e-10)
    assert not np.allclose(solution.Z, Z * (1 + 1e-8), rtol=0, atol=1e-10)


@pytest.mark.parametrize("time", [1e4, 1e9, 1e300])
def test_it_ends_on_the_largest_singular_values(time):
    """t -> infinity: the targets, of rank d at most, each singular value less by mu where there is ridge."""
    T = targets(5, 4, 3, 2)
    U, s, Vh = np.linalg.svd(T, full_matrices=False)
    for d in (1, 2, 3, 6):
        W0, H0 = balanced_start(5, 4, d, 1e-3, 2)
        kept = np.where(np.arange(4) < d, s, 0.0)
        end = riccati_solution(W0, H0, T, time, reduction="sum")
        # Without ridge what T does not move goes like 1/t.
        assert np.allclose(end.Z[0], U * kept @ Vh, rtol=0, atol=1e-10 + 1 / time)
        ridge = (s[1] + s[2]) / 2
        shrunk = np.maximum(kept - ridge, 0.0)
        end = riccati_solution(W0, H0, T, time, ridge=ridge, reduction="sum")
        assert np.allclose(end.Z[0], U * shrunk @ Vh, rtol=0, atol=1e-10)
        assert np.isfinite(end.W).all() and np.isfinite(end.H).all()


def test_a_start_outside_the_hypothesis_is_refused_and_would_be_wrong():
    random = np.random.default_rng(0)
    W0, H0, T = random.standard_normal((4, 3)), random.standard_normal((3, 4)), targets(4, 4, 4, 0)
    with pytest.raises(InputError, match=r"^W0, H0: the eigenvalues of .* spread by 0\.\d+ of .* meet by 0\.\d+"):
        riccati_solution(W0, H0, T, 1.0)
    # The formula with any one lambda misses the flow that it is refused for.
    times = np.array([0.5])
    W, H = integrated(W0, H0, T, np.array([0.0, 0.5]))[1]
    C = W0.T @ W0 - H0 @ H0.T
    for balance in (0.0, np.trace(C) / 3, *np.linalg.eigvalsh(C)):
        S = published(W0, H0, T, times[0] / 4, balance)
        assert abs(S[:4, 4:] - W @ H).max() > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"W0": np.ones(3)}, r"^W0: shape \(3,\)"),
        ({"H0": np.ones((3, 2))}, r"^W0, H0, targets: shapes \(2, 2\), \(3, 2\), \(2, 2\) do not fit"),
        ({"targets": [["x"]]}, "^targets: list is no array of numbers"),
        ({"W0": [[np.nan, 0], [0, 1]]}, "^W0: it holds NaN"),
        ({"t": [-1.0]}, "^t: give times of at least 0"),
        ({"t": [[1.0]]}, "^t: give times"),
        ({"kernel": 0.0}, "^kernel: 0.0 must be finite and positive"),
        ({"kernel": (1, 2, 3)}, "^kernel: .* is neither a number nor a pair"),
        ({"ridge": -1.0}, "^ridge: -1.0 must be finite and at least 0"),
        ({"ridge": (0.1, 0.2)}, "^ridge: kW lam_W = 0.1 differs from kH lam_H = 0.2"),
        ({"ridge": 0.1, "W0": 2 * np.eye(2)}, "^ridge: W.T W - H H.T has the eigenvalue 3"),
        ({"reduction": "max"}, "^reduction: 'max' is unknown"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"W0": np.eye(2), "H0": np.eye(2), "targets": np.eye(2), "t": 1.0} | change
    with pytest.raises(InputError, match=message):
        riccati_solution(**arguments)
