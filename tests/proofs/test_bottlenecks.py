"""Below full width: the curves along which truncated geometries lose, on explicit matrices and their Hessians."""

from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ufmflow.theory.attributes import Attributes


def cross_entropy(W, H):
    Z = W @ H
    return np.mean(np.log(np.exp(Z - Z.max(axis=0)).sum(axis=0)) + Z.max(axis=0) - np.diag(Z))


def truncated(formula, strengths):
    """W = H' with Z = sum of z_A P_A over the given strata, in exactly their width; and the columns of each."""
    attributes = Attributes(formula)
    parts, columns, at = [], {}, 0
    for A, z in strengths.items():
        values, vectors = np.linalg.eigh(np.array(attributes.projector(A).tolist(), dtype=float))
        parts.append(np.sqrt(z) * vectors[:, values > 0.5])
        columns[A] = range(at, at := at + parts[-1].shape[1])
    return np.hstack(parts), columns


def second_difference(loss, step=1e-3):
    return (loss(step) - 2 * loss(0) + loss(-step)) / step**2


@given(z_a=st.floats(0.5, 12), z_b=st.floats(0.5, 12))
def test_twisting_the_prism_lowers_the_loss(z_a, z_b):
    """2 x 3: the closed form of the second derivative, and no change (control) when both triangles turn alike."""
    W, columns = truncated("a[2] * b[3]", {"a": z_a, "b": z_b})
    level = np.repeat([0, 1], 3)

    def loss(theta, turns=(0, 1)):
        turned = W.copy()
        for a in (0, 1):
            c, s = np.cos(theta * turns[a]), np.sin(theta * turns[a])
            rows = np.ix_(level == a, columns["b"])
            turned[rows] = W[rows] @ np.array([[c, -s], [s, c]])
        return cross_entropy(turned, turned.T)

    alpha, rho = z_a / 3, z_b / 2
    closed = -rho * 2 * (np.exp(rho) - 1 - rho) * 2 / (6 * (np.exp(alpha) + 1) * (np.exp(rho) + 2))
    found = second_difference(loss)
    # Truncation step^2 L''''/12 is 1e-5 relative at these rho, rounding eps L / step^2 about 1e-9.
    assert abs(found - closed) < 2e-5 * (1 + z_b**2) * abs(closed) + 1e-8
    assert abs(second_difference(lambda theta: loss(theta, (1, 1)))) < 1e-8


@given(z=st.floats(0.2, 20), data=st.data())
def test_splitting_a_block_lowers_the_loss(z, data):
    """3 / 2 in width 2: the second variation without ridge, whatever the split."""
    W, _ = truncated("a[3] / b[2]", {"a": z})
    s = data.draw(st.floats(0.5, 2))
    block = W[:2]
    away = np.array([-block[0, 1], block[0, 0]]) / np.linalg.norm(block[0])

    def loss(epsilon):
        moved = W.copy()
        moved[0] += epsilon * s * away
        moved[1] -= epsilon * s * away
        return cross_entropy(moved, moved.T)

    rho = z / 2
    closed = 2 / 6 * 2 * s**2 * (rho / (np.exp(rho) + 2) - 1)
    assert abs(second_difference(loss) - closed) < 1e-3  # truncation: L'''' is of order s^4 (1 + z^2)
    assert closed < 0


@given(tau=st.tuples(st.floats(0.1, 2), st.floats(0.1, 2)), z=st.floats(0.1, 2), theta=st.floats(0.1, 1.5))
def test_turning_towards_another_target(tau, z, theta):
    """Squared error: the change of the loss on explicit 2 x 2 matrices."""
    assume(abs(tau[1] - tau[0]) > 1e-3)
    attributes = Attributes("a[2] * b[2]")
    P = {A: np.array(attributes.projector(A).tolist(), dtype=float) for A in attributes.names}
    u, v = 2 * P["a"][:, 0], 2 * P["b"][:, 0]
    T = P["1"] + tau[0] * P["a"] + tau[1] * P["b"]

    def loss(p):
        return ((z * np.outer(p, p) - T) ** 2).sum() / 8

    change = loss(np.cos(theta) * u + np.sin(theta) * v) - loss(u)
    assert abs(change + z / 4 * (tau[1] - tau[0]) * np.sin(theta) ** 2) < 1e-12  # rounding of sums of order 1
    assert (change < 0) == (tau[1] > tau[0])


def hessian(W, H, lam):
    """Of the mean loss with ridge on both, in all entries of W and H, column by column of an explicit product."""
    V, d = W.shape
    p = np.exp(W @ H)
    p /= p.sum(axis=0)
    G = (p - np.eye(V)) / V

    def product_with(x):
        A, B = x[: V * d].reshape(V, d), x[V * d :].reshape(d, V)
        D = A @ H + W @ B
        curved = (p * D - p * (p * D).sum(axis=0)) / V
        return np.concatenate([(curved @ H.T + G @ B.T + lam * A).ravel(), (W.T @ curved + A.T @ G + lam * B).ravel()])

    return np.array([product_with(e) for e in np.eye(2 * V * d)])


@pytest.mark.parametrize(("formula", "negative"), [("a[2] * b[2]", 0), ("a[2] * b[2] * c[2]", 2), ("a[3] * b[3]", 4)])
def test_negative_directions_of_truncated_fixed_points(formula, negative):
    """Equal sizes, so one z: pi = 1 - m lam on the main effects by bisection; then eigenvalues in units of lam."""
    attributes = Attributes(formula)
    main, m_lam = attributes.names[1 : 1 + len(attributes.sizes)], 0.1
    low, high = 0.0, 60.0
    for _ in range(200):
        z = (low + high) / 2
        W, _ = truncated(formula, dict.fromkeys(main, z))
        p = np.exp(W @ W.T)
        p /= p.sum(axis=0)
        pull = 1 - np.trace(np.array(attributes.projector(main[0]).tolist(), dtype=float) @ p) / (
            float(attributes.multiplicities[main[0]])
        )
        low, high = (z, high) if pull > m_lam else (low, z)
    lam = m_lam / len(W)
    values = np.linalg.eigvalsh(hessian(W, W.T, lam)) / lam
    assert (
        values < -1e-6
    ).sum() == negative  # rounding is about 1e-12 here; the least is below -0.6 where there is one
    rotations = W.shape[1] * (W.shape[1] - 1) // 2
    assert (np.abs(values) < 1e-6).sum() == rotations


def test_arc_cosine_kernels_of_the_counterexample():
    """kappa_0 and kappa_1 by quadrature over the angle, against the values used at 0, pi/3, pi/2."""
    angles = (np.arange(200_000) + 0.5) / 200_000 * 2 * np.pi - np.pi
    for theta, (zeroth, first) in {
        0: (1, 1),
        np.pi / 3: (2 / 3, np.sqrt(3) / (2 * np.pi) + 1 / 3),
        np.pi / 2: (1 / 2, 1 / np.pi),
    }.items():
        on = (np.cos(angles) > 0) & (np.cos(angles - theta) > 0)
        # E over a Gaussian plane: the radius integrates to 1 (kappa_0) and to 2 (kappa_1); both are doubled.
        assert abs(2 * on.mean() - zeroth) < 1e-4  # a step of the grid
        assert abs(4 * (np.cos(angles) * np.cos(angles - theta) * on).mean() - first) < 1e-4
        assert not abs(2 * on.mean() - first) < 1e-3 or theta == 0  # a control


def test_labels_index_rows_as_the_twist_assumes():
    """Contexts run through the formula's levels with the last attribute fastest."""
    P = np.array(Attributes("a[2] * b[3]").projector("a").tolist(), dtype=float)
    cells = list(product(range(2), range(3)))
    assert all((P[i, j] > 0) == (cells[i][0] == cells[j][0]) for i, j in product(range(6), repeat=2))
