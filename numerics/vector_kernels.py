"""CUDA source of the sums of scaled vectors and their norms, generated for each number of terms.

One thread walks every (grid size)-th entry; a norm's sum of squares is taken in float64, in shared memory within a
block, and one number a block is written out, so that a sum over it is the same in every run.
"""

BLOCK_THREADS = 256

_HEADER = """
typedef {ctype} real;
#define WALK for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; \\
                  i < n; i += (long long)gridDim.x * blockDim.x)
__device__ void keep_block_sum(double value, double* partial) {{
    __shared__ double shared[{threads}];
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {{
        if ((int)threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }}
    if (threadIdx.x == 0) partial[blockIdx.x] = shared[0];
}}
"""

_MEASURED = """double total = 0;
    WALK {{ const real fresh = {sum}; const double d = (double)fresh - (double)out[i]; out[i] = fresh; total += d * d; }}
    keep_block_sum(total, partial);"""
_WEIGHTED = """double total = 0;
    WALK {{
        const real a = y[i] < 0 ? -y[i] : y[i], b = z[i] < 0 ? -z[i] : z[i];
        const double d = (double)({sum}) / (double)(atol + rtol * (a > b ? a : b));
        total += d * d;
    }}
    keep_block_sum(total, partial);"""
_NORM = """double total = 0;
    WALK {{ const double d = (double)({sum}); total += d * d; }}
    keep_block_sum(total, partial);"""

# Arguments after the terms, and the body, of each kind of kernel.
_KERNELS = {
    "combine": ("real* out", "WALK {{ out[i] = {sum}; }}"),
    "measured": ("real* out, double* partial", _MEASURED),
    "weighted": ("const real* y, const real* z, real rtol, real atol, double* partial", _WEIGHTED),
    "norm": ("double* partial", _NORM),
}


def kernel_name(name: str, terms: int) -> str:
    """The name of the kernel of a kind for a number of terms."""
    return f"{name}_{terms}"


def cuda_source(ctype: str, most_terms: int) -> str:
    """Source of all kernels for 1 ... most_terms terms.

    Parameters
    ----------
    ctype : "double" or "float"

    Examples
    --------
    >>> "out[i] = c0 * x0[i] + c1 * x1[i];" in cuda_source("double", 2)
    True
    """
    parts = [_HEADER.format(ctype=ctype, threads=BLOCK_THREADS)]
    for terms in range(1, most_terms + 1):
        inputs = ", ".join(f"real c{j}, const real* x{j}" for j in range(terms))
        total = " + ".join(f"c{j} * x{j}[i]" for j in range(terms))
        for name, (outputs, body) in _KERNELS.items():
            parts.append(
                f'extern "C" __global__ void {kernel_name(name, terms)}(long long n, {inputs}, {outputs}) {{\n'
                f"    {body.format(sum=total)}\n}}\n"
            )
    return "\n".join(parts)
