"""CUDA source of the pass over the logits that `softmax_pass` states: one block of threads for each context.

Threads walk a row twice: for the largest logit, which shifts the others, and the sum of exponentials along with it
(a sum is scaled down when a larger logit turns up); then to write the residuals.  The second walk finds rows of up to
some 10^5 logits in cache.  Sums over threads are trees in shared memory, the same in every run.
"""

THREADS = 256

_SOURCE = """
typedef {ctype} real;

__device__ real block_sum(real value, real* shared) {{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {{
        if ((int)threadIdx.x < half) shared[threadIdx.x] += shared[threadIdx.x + half];
        __syncthreads();
    }}
    const real total = shared[0];
    __syncthreads();
    return total;
}}

__device__ real block_largest(real value, real* shared) {{
    shared[threadIdx.x] = value;
    __syncthreads();
    for (int half = blockDim.x / 2; half > 0; half /= 2) {{
        if ((int)threadIdx.x < half && shared[threadIdx.x + half] > shared[threadIdx.x])
            shared[threadIdx.x] = shared[threadIdx.x + half];
        __syncthreads();
    }}
    const real largest = shared[0];
    __syncthreads();
    return largest;
}}

// Z: n rows of V logits, scale (1_y - softmax) when done; label[row] < 0 for soft labels; loss may be null.
extern "C" __global__ void residuals(real* Z, const long long* label, real* loss, long long V, real scale) {{
    __shared__ real shared[{threads}];
    const long long row = blockIdx.x;
    real* z = Z + row * V;
    const long long y = label[row];
    real largest = z[0], part = 0;
    for (long long i = threadIdx.x; i < V; i += blockDim.x) {{
        const real logit = z[i];
        if (logit > largest) {{
            part *= exp(largest - logit);
            largest = logit;
        }}
        if (i != y) part += exp(logit - largest);
    }}
    const real top = block_largest(largest, shared);
    const real gap = y >= 0 ? z[y] - top : 0;
    const real others = block_sum(part * exp(largest - top), shared);
    const real chosen = y >= 0 ? exp(gap) : 0;
    const real total = chosen + others;
    const real factor = -scale / total;
    for (long long i = threadIdx.x; i < V; i += blockDim.x)
        z[i] = factor * (i == y ? -others : exp(z[i] - top));
    if (!loss || threadIdx.x != 0) return;
    if (y < 0) loss[row] = log(total) + top;
    else loss[row] = others < chosen ? log1p(others / chosen) : log(total) - gap;
}}
"""


def cuda_source(ctype: str) -> str:
    """Source of the kernel `residuals`.

    Parameters
    ----------
    ctype : "double" or "float"

    Examples
    --------
    >>> "typedef double real;" in cuda_source("double")
    True
    """
    return _SOURCE.format(ctype=ctype, threads=THREADS)
