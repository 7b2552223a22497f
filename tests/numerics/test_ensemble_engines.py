"""The engines of an ensemble: their steps, their source on each machine, and the windows they find."""

import ctypes
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ufmflow.numerics import ensemble_cuda, ensemble_native, ensemble_numpy, ensemble_window, ensemble_work
from ufmflow.numerics.devices import open_device
from ufmflow.numerics.ensemble import _index, _lowered, simulate_ensemble
from ufmflow.numerics.ensemble_arrays import array_code
from ufmflow.numerics.ensemble_code import source
from ufmflow.numerics.ensemble_equations import equations_of
from ufmflow.numerics.ensemble_members import Members
from ufmflow.numerics.ensemble_problem import STIFF, Problem
from ufmflow.numerics.ensemble_steps import Explicit, Implicit
from ufmflow.numerics.modes import template_of, values_of
from ufmflow.numerics.rosenbrock import RODAS4, Rosenbrock
from ufmflow.theory.errors import InputError

import ufmflow as uf

needs_compiler = pytest.mark.skipif(ensemble_native.compiler() is None, reason="no C compiler on this machine")
MODEL = uf.UFM("a[3] * b[4]", ridge=1e-4)


def problem_of(model=MODEL, members=20, rtol=1e-6, end=1e3, method="explicit", watched=True, start=1e-3):
    random = np.random.default_rng(1)
    varied = {
        "feature_kernel.a": np.exp(random.uniform(0.5, 2.5, members)),
        "feature_kernel.a:b": np.exp(random.uniform(-2, 0, members)),
    }
    of = Members.of(model, varied, start, False)
    equations = equations_of(template_of(model), "sgd")
    index = _index(model, of.start) if watched else None
    atol = _lowered(1e-10, rtol, of.start)
    return Problem(equations, of.start, of.parameters, end, np.array([1.0, 50.0, end]), rtol, atol, index, method)


def error(found, exact):
    """The largest error of each member, relative to its largest mode."""
    return np.abs(found.state - exact.state).max(axis=0) / np.abs(exact.state).max(axis=0)


@needs_compiler
@pytest.mark.parametrize("method", ["explicit", "rosenbrock"])
def test_both_engines_take_the_same_steps(method):
    problem = problem_of(method=method)
    ours, theirs = ensemble_native.run(problem), ensemble_numpy.run(problem)
    assert np.abs(ours.steps - theirs.steps).max() <= 2
    assert error(ours, theirs).max() < 1e-7
    np.testing.assert_allclose(ours.kept, theirs.kept, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(ours.window, theirs.window, rtol=2e-4)


@needs_compiler
def test_a_member_does_not_depend_on_its_company():
    problem = problem_of(members=37)
    together = ensemble_native.run(problem)
    for i in (0, 5, 36):
        alone = replace(
            problem, start=problem.start[:, [i]], parameters=problem.parameters[:, [i]], atol=problem.atol[[i]]
        )
        found = ensemble_native.run(alone)
        assert np.array_equal(found.state[:, 0], together.state[:, i])
        assert np.array_equal(found.window[:, 0], together.window[:, i])
        assert found.steps[0] == together.steps[i]


@pytest.mark.parametrize(("stepper", "order"), [(Explicit, 5), (Implicit, 4)])
def test_steps_converge_to_the_logistic_curve_at_their_order(stepper, order):
    """Squared error, balanced start: z(t) in closed form."""
    model = uf.UFM("a[4]", loss="mse")
    equations, form = equations_of(template_of(model), "sgd"), uf.derive(model).closed_form("a")
    p, errors, counts = np.array(values_of(model))[:, None], [], (96, 192)
    for count in counts:
        steps = stepper(equations, 1e-6, 1, False) if stepper is Explicit else stepper(equations, 1e-6)
        y = np.full((4, 1), 0.3)
        h, rate = np.array([20.0 / count]), steps.rates(y, p)
        for _ in range(count):
            steps.attempt(y, rate, h, p, np.ones(1))
            y, rate = steps.new.copy(), steps.new_rate.copy()
        errors.append(abs(float(y[1, 0] * y[3, 0]) - float(form(20.0, 0.3))))
    measured = np.log2(errors[0] / errors[1])
    assert abs(measured - order) < 0.1, measured


def test_a_wrong_coefficient_is_refused():
    with pytest.raises(InputError, match="misses an order condition"):
        replace(RODAS4, a=(*RODAS4.a[:1], (1.545,), *RODAS4.a[2:]))
    with pytest.raises(InputError, match="row i"):
        Rosenbrock("short", 4, 4, 0.25, RODAS4.a, RODAS4.c[:-1] + ((1.0,),), RODAS4.dense)


@needs_compiler
@pytest.mark.parametrize("method", ["explicit", "rosenbrock"])
def test_errors_follow_the_tolerance(method):
    exact = ensemble_native.run(problem_of(rtol=1e-12, watched=False))
    for rtol in (1e-4, 1e-6, 1e-8, 1e-10):
        worst = error(ensemble_native.run(problem_of(rtol=rtol, method=method, watched=False)), exact).max()
        assert 0.005 * rtol < worst < 5 * rtol


@pytest.mark.parametrize("constraint", ["free", "sphere", "normalized"])
def test_the_symbolic_jacobian_is_that_of_differences(constraint):
    model = uf.UFM("(a[3] * b[2]) / c[2]", labels="a * b", ridge=1e-2, constraint=constraint, width=20)
    e = equations_of(template_of(model), "sgd")
    rates = array_code(e.rate_definitions, e.rates, e.state, e.parameters)
    jacobian = array_code(e.jacobian_definitions, e.jacobian, e.state, e.parameters)
    n = len(e.state)
    y = np.random.default_rng(0).uniform(0.2, 1.5, (n, 1))
    p, step = np.array(values_of(model))[:, None], 1e-6
    near = np.concatenate([y + step * np.eye(n), y - step * np.eye(n)], axis=1)
    f = rates(near, np.repeat(p, 2 * n, axis=1))
    differences = (f[:, :n] - f[:, n:]) / (2 * step)
    J = jacobian(y, p).reshape(n, n)
    np.testing.assert_allclose(J, differences, atol=1e-8)
    J[1, 2] += 1e-4
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(J, differences, atol=1e-8)


@pytest.mark.parametrize("engine", ["numpy", pytest.param("native", marks=needs_compiler)])
def test_windows_are_where_the_exact_index_has_half_its_height(engine):
    family = uf.UFM(MODEL.attributes, ridge=1e-2)
    vary = {"feature_kernel.a": [2.0, 5.0, 9.0], "feature_kernel.a:b": [0.2, 0.5, 1.0]}
    found = simulate_ensemble(family, 1e4, vary, rtol=1e-9, engine=engine)
    for i in range(3):
        kernel = {"1": 1, "b": 1, "a": vary["feature_kernel.a"][i], "a:b": vary["feature_kernel.a:b"][i]}
        model = uf.UFM(family.attributes, ridge=family.ridge, feature_kernel=kernel)
        onset, peak, end, height = (float(found[f"window_{x}"][i]) for x in ("onset", "peak", "end", "height"))
        times = np.array([onset, peak * (1 - 1e-3), peak, peak * (1 + 1e-3), end])
        I = uf.simulate(model, times, rtol=1e-9).data["semantic_index"].values
        assert abs(I[0] - height / 2) < 1e-6 and abs(I[4] - height / 2) < 1e-6
        assert abs(I[2] - height) < 1e-7 and I[2] > I[1] and I[2] > I[3]
        coarse = uf.simulate(model, 1e4).window()
        assert abs(coarse.onset / onset - 1) < 0.02 and abs(coarse.end / end - 1) < 0.02


def test_without_main_effects_apart_there_is_no_window():
    found = simulate_ensemble(uf.UFM("a[4]", ridge=1e-3), 10.0, {"ridge": [1e-3]}, engine="numpy")
    assert np.all(np.isnan(found["window_onset"]))


class Piecewise:
    """An index whose window is known: rises to 1 at t = 2, falls to 0.2 at 4, rises to 0.6 at 5, falls to 0 at 8."""

    times, values = np.array([0.0, 2.0, 4.0, 5.0, 8.0]), np.array([0.0, 1.0, 0.2, 0.6, 0.0])

    def walk(self, steps, start=0.0):
        watch = ensemble_window.Watch(1)
        lane = np.array([0])
        watch.begin(lane, np.array([start]), np.array([np.inf]))
        for a, b in pairwise(steps):
            I = np.interp([a, (a + b) / 2, b], self.times, self.values)
            slope = (I[2] - I[0]) / (b - a)
            points = np.array([I[0], slope, I[1], I[2], slope])[:, None]
            watch.step(lane, np.array([a]), np.array([b - a]), points)
        watch.settle(lane)
        return watch.window(lane, np.array([steps[-1]]))[:, 0]


def test_the_last_fall_below_half_is_the_end_and_the_first_rise_the_onset():
    steps = np.linspace(0, 8, 81)
    np.testing.assert_allclose(Piecewise().walk(steps), [1.0, 2.0, 5.5, 1.0], rtol=1e-9)
    np.testing.assert_allclose(Piecewise().walk(steps[:52]), [1.0, 2.0, 5.1, 1.0], rtol=1e-9)  # still open


def test_an_onset_that_was_overwritten_is_not_guessed(monkeypatch):
    monkeypatch.setattr(ensemble_window, "RING", 5)
    assert np.isnan(Piecewise().walk(np.linspace(0, 8, 81))[0])
    assert Piecewise().walk(np.linspace(0, 8, 17))[0] == pytest.approx(1.0)


@pytest.mark.parametrize("engine", ["numpy", pytest.param("native", marks=needs_compiler)])
def test_an_overwritten_onset_is_looked_for_again(engine, monkeypatch):
    problem = problem_of(members=9, rtol=1e-8)
    module = {"numpy": ensemble_numpy, "native": ensemble_native}[engine]
    plain = module.run(problem).window
    monkeypatch.setattr({"numpy": ensemble_window, "native": ensemble_native}[engine], "RING", 2)
    ensemble_native.native.cache_clear()
    again = module.run(problem).window
    ensemble_native.native.cache_clear()
    np.testing.assert_allclose(again, plain, rtol=1e-6)


@pytest.mark.parametrize("engine", ["numpy", pytest.param("native", marks=needs_compiler)])
def test_stiff_members_go_on_by_the_other_method(engine):
    run = {"numpy": ensemble_numpy, "native": ensemble_native}[engine].run
    stiff = uf.UFM("a[3] * b[4]", ridge=1e-2, label_kernel={"1": 1, "a": 1, "b": 1, "a:b": 100})
    problem = problem_of(stiff, members=2, end=6e2, start=0.1)
    plain, auto = run(problem), run(replace(problem, method="auto"))
    assert np.all(auto.steps < 0.8 * plain.steps)
    assert not np.any(auto.status == STIFF)
    assert error(auto, plain).max() < 5e-6
    np.testing.assert_allclose(auto.window, plain.window, rtol=1e-4)
    np.testing.assert_allclose(auto.kept, plain.kept, rtol=1e-4, atol=1e-6)


def whole_source(ring=32):
    problem = problem_of()
    return source(problem.equations, problem.index, True, ring)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_nvcc_compiles_the_source(architecture, tmp_path):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on this machine")
    command = ["nvcc", "--ptx", f"-arch={architecture}", "--std=c++14", "-o", "ensemble.ptx", "ensemble.cu"]
    (tmp_path / "ensemble.cu").write_text(whole_source())
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    text = (tmp_path / "ensemble.ptx").read_text()
    assert ".entry run_explicit" in text and ".entry run_implicit" in text
    (tmp_path / "ensemble.cu").write_text(whole_source().replace("atomicAdd", "atomicAdding"))
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode != 0


CUDA_ON_HOST = """
#include <cmath>
#include <cstring>
#define __CUDACC__ 1
#define __device__ static
#define __global__
#define __forceinline__ inline
#define __noinline__ __attribute__((noinline))
static long long __double_as_longlong(double x) { long long n; memcpy(&n, &x, 8); return n; }
static double __longlong_as_double(long long n) { double x; memcpy(&x, &n, 8); return x; }
static unsigned long long atomicAdd(unsigned long long* a, unsigned long long n) { auto b = *a; *a += n; return b; }
"""


def test_the_cuda_side_of_the_source_gives_the_same(tmp_path):
    """A GPU's thread, run here: the source as CUDA C++ reads it, with one lane."""
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler on this machine")
    (tmp_path / "ensemble.cpp").write_text(CUDA_ON_HOST + whole_source())
    command = ["g++", "-O1", "-fPIC", "-shared", "-fwrapv", "-w", "-o", "ensemble.so", "ensemble.cpp"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    library = ctypes.CDLL(str(tmp_path / "ensemble.so"))

    class Thread(ensemble_native.Native):
        def __init__(self):
            self.lib = library

    for method in ("explicit", "rosenbrock"):
        problem = problem_of(members=6, method=method)
        here, there = ensemble_numpy.run(problem), ensemble_work.run(problem, Thread())
        assert np.abs(here.steps - there.steps).max() <= 2
        assert error(there, here).max() < 1e-7
        np.testing.assert_allclose(there.window, here.window, rtol=2e-4)
        np.testing.assert_allclose(there.kept, here.kept, rtol=1e-5, atol=1e-8)


def test_a_gpu_gives_what_the_cpu_gives():
    pytest.importorskip("cupy")
    try:
        open_device("cuda")
    except InputError as reason:
        pytest.skip(str(reason))
    for method in ("explicit", "rosenbrock", "auto"):
        problem = problem_of(members=3000, rtol=1e-12, method=method)
        there, here = ensemble_cuda.run(problem), ensemble_native.run(problem)
        assert error(there, here).max() < 1e-10
        np.testing.assert_allclose(there.window[[0, 2, 3]], here.window[[0, 2, 3]], rtol=1e-7)


def test_without_a_gpu_cuda_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match="'cuda' needs CuPy"):
        simulate_ensemble(MODEL, 1.0, {"ridge": [1e-3]}, device="cuda")


def test_without_a_compiler_native_is_refused_and_auto_takes_numpy(monkeypatch, tmp_path):
    monkeypatch.setattr(ensemble_native, "compiler", lambda: None)
    ensemble_native.native.cache_clear()
    with pytest.raises(InputError, match="engine: 'native' needs a C compiler"):
        simulate_ensemble(MODEL, 1.0, {"ridge": [1e-3]}, engine="native")
    assert simulate_ensemble(MODEL, 1.0, {"ridge": [1e-3]}).attrs["engine"] == "numpy"
    monkeypatch.setattr(ensemble_native, "compiler", lambda: shutil.which("false"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(InputError, match="cannot compile the ensemble"):
        simulate_ensemble(MODEL, 1.0, {"ridge": [1e-3]}, engine="native")
    assert list((tmp_path / "ufmflow").iterdir()) == []
    ensemble_native.native.cache_clear()


def test_more_members_than_fit_are_refused_before_they_run():
    problem = problem_of()
    ensemble_work.check_memory(problem, 1e9)
    with pytest.raises(InputError, match="give at most 1 at once, or fewer output times"):
        ensemble_work.check_memory(problem, 1000.0)
