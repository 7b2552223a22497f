"""Published solutions of two-layer linear networks, written in their own notation, give the same numbers as ours.

Saxe, McClelland, Ganguli 2014: modes a, b with tau da/dt = b (s - a b), tau db/dt = a (s - a b); the network is their
product u = a b.  Domine et al. 2025 (after Fukumizu 1998, Braun et al. 2022): W1, W2, W2^T W2 - W1 W1^T = lambda I,
tau dW1/dt = W2^T (Sigma - W2 W1), tau dW2/dt = (Sigma - W2 W1) W1^T.
"""

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from ufmflow.numerics.riccati import riccati_solution
from ufmflow.proofs.strategies import rationals
from ufmflow.theory.model import UFM
from ufmflow.theory.system import derive

POSITIVE = rationals(0, 3).filter(bool)
TIMES = np.array([0.0, 0.5, 4.0, 20.0])


def saxe_balanced(t, u0: float, s: float, tau: float):
    """u(t) = s e^(2 s t / tau) / (e^(2 s t / tau) - 1 + s / u0)."""
    grown = np.exp(2 * s * t / tau)
    return s * grown / (grown - 1 + s / u0)


def saxe_time(uf, u0: float, s: float, tau: float):
    """t = (tau / 2 s) ln [u_f (s - u_0) / (u_0 (s - u_f))]."""
    return tau / (2 * s) * np.log(uf * (s - u0) / (u0 * (s - uf)))


def saxe_unbalanced_time(theta, theta0: float, c0: float, s: float, tau: float):
    """t = (tau / root) [ln (root + c0 + 2 s tanh(theta/2)) / (root - c0 - 2 s tanh(theta/2))] from theta0 to theta.

    a = sqrt(c0) cosh(theta/2), b = sqrt(c0) sinh(theta/2) on the hyperbola a^2 - b^2 = c0; root^2 = c0^2 + 4 s^2.
    """
    root = np.sqrt(c0**2 + 4 * s**2)

    def level(x):
        x = np.tanh(x / 2)
        return np.log((root + c0 + 2 * s * x) / (root - c0 - 2 * s * x))

    return tau / root * (level(theta) - level(theta0))


def mode(s: sp.Expr) -> UFM:
    return UFM("a[3]", loss="mse", targets={"a": s})  # tau = 1/scale = m = 3


@settings(max_examples=15)
@given(POSITIVE, st.floats(-8, 0))
def test_saxe_balanced_modes(s, decade):
    a0 = 10.0 ** (decade / 2)
    z = derive(mode(s)).closed_form("a")(TIMES, a0)
    assert z == pytest.approx(saxe_balanced(TIMES, a0**2, float(s), 3.0), rel=1e-12)


def test_another_time_constant_or_imbalance_is_noticed():
    form = derive(mode(sp.Rational(2, 3))).closed_form("a")
    assert form(TIMES, 0.1) != pytest.approx(saxe_balanced(TIMES, 0.01, 2 / 3, 3.001), rel=1e-12)
    a0, b0, t = 1.1, 0.4, 2.0
    c0, z = a0**2 - b0**2, float(form(t, (a0, b0)))

    def theirs(c):
        return saxe_unbalanced_time(np.arcsinh(2 * z / c), np.arcsinh(2 * a0 * b0 / c), c, 2 / 3, 3.0)

    assert theirs(c0) == pytest.approx(t, rel=1e-10)
    assert theirs(c0 * 1.001) != pytest.approx(t, rel=1e-10)


def test_saxe_time_to_half_is_the_emergence_time():
    for s, u0 in ((1.0, 1e-6), (0.5, 1e-3), (2.0, 0.5)):
        ours = float(derive(mode(sp.Rational(str(s)))).emergence_time("a", np.sqrt(u0)))
        assert ours == pytest.approx(saxe_time(s / 2, u0, s, 3.0), rel=1e-12)
        assert ours != pytest.approx(saxe_time(s / 3, u0, s, 3.0), rel=1e-12)


@settings(max_examples=15)
@given(POSITIVE, st.floats(0.1, 2), st.floats(0.05, 0.9))
def test_saxe_unbalanced_modes(s, a0, ratio):
    """Their time at our z is the time asked for, to the rounding of its logarithm near the end, where z is within s."""
    b0, s_ = a0 * ratio, float(s)
    c0 = a0**2 - b0**2
    form = derive(mode(s)).closed_form("a")
    for init in ((a0, b0), (b0, a0)):
        z = form(TIMES, init)
        theta, theta0 = np.arcsinh(2 * z / c0), np.arcsinh(2 * a0 * b0 / c0)
        there = np.abs(z / s_ - 1) > 1e-5
        theirs = saxe_unbalanced_time(theta[there], theta0, c0, s_, 3.0)
        assert theirs == pytest.approx(TIMES[there], rel=1e-8, abs=1e-8)


def domine(W1, W2, Sigma, t, tau: float, lam: float) -> np.ndarray:
    """Q Q^T(t), Q = (W1^T; W2), F = [[-lam/2, Sigma^T], [Sigma, lam/2]]; F must have an inverse."""
    inputs, outputs = W1.shape[1], W2.shape[0]
    Q0 = np.vstack([W1.T, W2])
    F = np.block([[-lam / 2 * np.eye(inputs), Sigma.T], [Sigma, lam / 2 * np.eye(outputs)]])
    E, inverse = expm(F * t / tau), np.linalg.inv(F)
    middle = np.eye(Q0.shape[1]) + Q0.T @ (E @ inverse @ E - inverse) @ Q0 / 2
    return E @ Q0 @ np.linalg.solve(middle, Q0.T @ E)


def lambda_balanced(outputs: int, inputs: int, hidden: int, lam: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """W2^T W2 = W1 W1^T + lam I, for 0 <= lam, hidden <= outputs."""
    random = np.random.default_rng(seed)
    W1 = 0.4 * random.standard_normal((hidden, inputs))
    values, axes = np.linalg.eigh(W1 @ W1.T + lam * np.eye(hidden))
    frame = np.linalg.qr(random.standard_normal((outputs, hidden)))[0]
    return W1, frame * np.sqrt(np.maximum(values, 0)) @ axes.T


@settings(max_examples=10)
@given(st.integers(1, 3), st.integers(3, 5), st.integers(0, 99), st.sampled_from([0.0, 0.1, 1.0, 3.0]))
def test_domine_lambda_balanced_matrices(hidden, outputs, seed, lam):
    """1e-9: they form e^(2 F t), up to 1e6 at these times, beside 1, and invert F."""
    inputs = outputs if lam == 0.0 else 3  # F has an inverse
    W1, W2 = lambda_balanced(outputs, inputs, hidden, lam, seed)
    Sigma = np.random.default_rng(seed + 100).standard_normal((outputs, inputs)) + np.eye(outputs, inputs)
    Sigma *= 1.5 / np.linalg.norm(Sigma, 2)
    for t in (0.0, 0.5, 3.0):
        theirs = domine(W1, W2, Sigma, t, 1.0, lam)
        ours = riccati_solution(W2, W1, Sigma, t, reduction="sum")
        scale = abs(theirs).max()
        assert np.allclose(ours.gram_W[0], theirs[inputs:, inputs:], rtol=0, atol=1e-9 * scale)
        assert np.allclose(ours.Z[0], theirs[inputs:, :inputs], rtol=0, atol=1e-9 * scale)
        assert np.allclose(ours.gram_H[0], theirs[:inputs, :inputs], rtol=0, atol=1e-9 * scale)


def test_another_lambda_is_noticed():
    W1, W2 = lambda_balanced(4, 3, 2, 0.5, 0)
    Sigma = np.eye(4, 3)
    ours = riccati_solution(W2, W1, Sigma, 1.0, reduction="sum").Z[0]
    assert np.allclose(ours, domine(W1, W2, Sigma, 1.0, 1.0, 0.5)[3:, :3], rtol=0, atol=1e-12)
    assert not np.allclose(ours, domine(W1, W2, Sigma, 1.0, 1.0, 0.501)[3:, :3], rtol=0, atol=1e-6)


def test_saxe_and_domine_meet_on_one_mode():
    """Width 1, one input and output: lambda = b^2 - a^2 = -c0."""
    a0, b0, s = 1.2, 0.3, 0.8
    form = derive(mode(sp.Rational(4, 5))).closed_form("a")
    for t in (0.7, 5.0):
        theirs = domine(np.array([[a0]]), np.array([[b0]]), np.array([[s]]), t, 3.0, b0**2 - a0**2)
        assert theirs[1, 0] == pytest.approx(float(form(t, (a0, b0))), rel=1e-12)
