"""Sums and norms of vectors: blocks, precisions and namespaces agree with plain arithmetic; the CUDA source compiles."""

import shutil
import subprocess

import numpy as np
import pytest
from ufmflow.numerics.vector_kernels import cuda_source, kernel_name
from ufmflow.numerics.vectors import BLOCK, MOST_TERMS, CupyVectors, NumpyVectors, vectors_like
from ufmflow.theory.errors import InputError

SIZES = (1, 7, BLOCK - 1, BLOCK, 2 * BLOCK + 5)
TOLERANCE = {"float64": 1e-13, "float32": 1e-5}


@pytest.fixture(params=["numpy", "cupy"])
def arrays(request):
    """The namespace and its operations."""
    xp = pytest.importorskip(request.param)
    if request.param == "cupy":
        try:
            xp.cuda.runtime.getDeviceCount()
        except xp.cuda.runtime.CUDARuntimeError as error:
            pytest.skip(f"cupy finds no GPU: {error}")
    return xp, NumpyVectors if request.param == "numpy" else CupyVectors


def drawn(xp, count, size, dtype):
    rng = np.random.default_rng(size + count)
    return [xp.asarray(rng.standard_normal(size), dtype=dtype) for _ in range(count)]


def same(ours, exact, dtype):
    return np.abs(np.asarray(ours.tolist()) - exact).max() <= TOLERANCE[dtype] * np.abs(exact).max()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
def test_sums_are_the_plain_ones(arrays, size, dtype):
    xp, kind = arrays
    ops = kind(size, dtype)
    for count in (1, 2, 7, MOST_TERMS):
        x, c = drawn(xp, count, size, dtype), [0.5 + j for j in range(count)]
        exact = sum(a * np.asarray(v.tolist()) for a, v in zip(c, x, strict=True))
        out = ops.empty()
        ops.combine(out, list(zip(c, x, strict=True)))
        assert out.dtype == dtype and type(out) is type(x[0]) and same(out, exact, dtype)
        assert not same(1.001 * out, exact, dtype)
        before = np.asarray(out.tolist())
        moved = ops.combine_measured(out, [(2.0, x[0]), *zip(c, x, strict=True)])
        fresh = exact + 2.0 * np.asarray(x[0].tolist())
        assert same(out, fresh, dtype)
        assert moved == pytest.approx(np.linalg.norm(fresh - before), rel=1e2 * TOLERANCE[dtype])
        # The output may take the place of the first term.
        ops.combine(x[0], list(zip(c, x, strict=True)))
        assert same(x[0], exact, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES)
def test_norms_are_the_plain_ones(arrays, size, dtype):
    xp, kind = arrays
    ops = kind(size, dtype)
    x = drawn(xp, 4, size, dtype)
    plain = [np.asarray(v.tolist()) for v in x]
    terms, error = [(1.5, x[0]), (-0.5, x[1])], 1.5 * plain[0] - 0.5 * plain[1]
    assert ops.norm(terms) == pytest.approx(np.linalg.norm(error), rel=TOLERANCE[dtype])
    scale = 1e-3 + 1e-2 * np.maximum(np.abs(plain[2]), np.abs(plain[3]))
    expected = np.sqrt(np.mean((error / scale) ** 2))
    assert ops.weighted_rms(terms, x[2], x[3], 1e-2, 1e-3) == pytest.approx(expected, rel=10 * TOLERANCE[dtype])
    one_state = np.sqrt(np.mean((error / (1e-3 + 1e-2 * np.abs(plain[2]))) ** 2))
    assert ops.weighted_rms(terms, x[2], x[2], 1e-2, 1e-3) == pytest.approx(one_state, rel=10 * TOLERANCE[dtype])


def test_no_tolerance_on_a_state_of_zeros_is_no_division_by_zero(arrays):
    xp, kind = arrays
    ops, zero = kind(3, "float64"), xp.zeros(3)
    assert ops.weighted_rms([(1.0, zero)], zero, zero, 1e-6, 0.0) == 0.0
    assert ops.weighted_rms([(1.0, xp.ones(3))], zero, zero, 1e-6, 0.0) == np.inf


def test_normal_numbers_are_the_same_in_every_call(arrays):
    _, kind = arrays
    ops = kind(1000, "float64")
    ops.fill_normal(x := ops.empty())
    ops.fill_normal(y := ops.empty())
    assert x.tolist() == y.tolist()
    assert abs(float(x.mean())) < 0.1 and float(x.std()) == pytest.approx(1.0, abs=0.1)


def test_what_is_no_vector_of_floats_is_refused():
    assert isinstance(vectors_like(np.ones(2)), NumpyVectors)
    for start, why in (
        ([1.0], "list is no array"),
        (1.0, "float is no array"),
        (np.ones((1, 2)), "one dimension"),
        (np.ones(0), "one dimension"),
        (np.ones(2, complex), "complex128"),
        (np.array([np.inf]), "finite"),
    ):
        with pytest.raises(InputError, match=why):
            vectors_like(start)


def test_every_kernel_that_is_launched_has_source():
    source = cuda_source("double", MOST_TERMS)
    for name in ("combine", "measured", "weighted", "norm"):
        for terms in range(1, MOST_TERMS + 1):
            assert source.count(f"void {kernel_name(name, terms)}(long long n,") == 1
    assert "float" not in source and "double* partial" in cuda_source("float", 1)


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("ctype", ["double", "float"])
def test_the_cuda_source_compiles(tmp_path, ctype, architecture):
    if shutil.which("nvcc") is None:
        pytest.skip("no nvcc on this machine")
    (tmp_path / "vectors.cu").write_text(cuda_source(ctype, 3), encoding="utf-8")
    made = subprocess.run(
        ["nvcc", "--ptx", f"-arch={architecture}", "--std=c++14", "-o", "vectors.ptx", "vectors.cu"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    assert f".target {architecture}" in (tmp_path / "vectors.ptx").read_text(encoding="utf-8")
