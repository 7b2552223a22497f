/* What a lane is: a thread of a GPU, or one of the WIDTH doubles of a vector of the C compiler's. */

#ifdef __CUDACC__
#define WIDTH 1
typedef double real;
typedef long long whole;
#define INLINE __device__ __forceinline__
#define HELPER __device__ __noinline__
#define ENTRY extern "C" __global__
#define CONSTANT __device__ const
#define LANE(x, l) (x)
#define SELECT(m, a, b) ((m) ? (a) : (b))
#define SELECT_WHOLE(m, a, b) ((m) ? (a) : (b))
#define BITS(x) __double_as_longlong(x)
#define FROM_BITS(n) __longlong_as_double(n)
#define TO_REAL(n) ((double)(n))
#define TO_WHOLE(x) ((long long)(x))
#define SQRT(x) sqrt(x)
#define TAKE(counter) ((long long)atomicAdd((unsigned long long*)(counter), 1ULL))
#define COUNT(counter, n) atomicAdd((unsigned long long*)(counter), (unsigned long long)(n))
#define NOT_YET __longlong_as_double(0x7ff8000000000000LL)
#define NEVER __longlong_as_double(0x7ff0000000000000LL)
#else
#ifndef WIDTH
#define WIDTH 8
#endif
typedef double real __attribute__((vector_size(8 * WIDTH)));
typedef long long whole __attribute__((vector_size(8 * WIDTH)));
#define INLINE static inline __attribute__((always_inline))
#define HELPER static __attribute__((noinline))
#define ENTRY
#define CONSTANT static const
#define LANE(x, l) ((x)[l])
#define SELECT_WHOLE(m, a, b) (((m) & (a)) | (~(m) & (b)))
#define SELECT(m, a, b) ((real)SELECT_WHOLE(m, (whole)(a), (whole)(b)))
#define BITS(x) ((whole)(x))
#define FROM_BITS(n) ((real)(n))
#define TO_REAL(n) __builtin_convertvector(n, real)
#define TO_WHOLE(x) __builtin_convertvector(x, whole)
INLINE real SQRT(real x) {
    real root;
    for (int l = 0; l < WIDTH; ++l) root[l] = __builtin_sqrt(x[l]);
    return root;
}
#define TAKE(counter) __atomic_fetch_add(counter, 1LL, __ATOMIC_RELAXED)
#define COUNT(counter, n) __atomic_fetch_add(counter, n, __ATOMIC_RELAXED)
#define NOT_YET __builtin_nan("")
#define NEVER __builtin_inf()
#endif

#define ZERO ((real){0})
#define ZERO_WHOLE ((whole){0})
#define ABS(x) FROM_BITS(BITS(x) & 0x7fffffffffffffffLL)

INLINE real largest(real a, real b) { return SELECT(a > b, a, b); }

/* exp(x) for x <= 0, to an ulp or two; below -708 it stays at 3e-308.  With n the whole number nearest to x / ln 2, 2^n
   times a polynomial that is exp on [-ln 2 / 2, ln 2 / 2] to 1e-17 (Chebyshev's, by mpmath). */
INLINE real EXP(real x) {
    const double magic = 6755399441055744.0; /* 1.5 * 2^52: adding it leaves n in the last bits */
    x = SELECT(x < -708.0, ZERO - 708.0, x);
    const real shifted = x * 1.4426950408889634 + magic, n = shifted - magic;
    const real r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10;
    real e = r * 2.5110049204818658e-08 + 2.763265472252779e-07;
    e = e * r + 2.755724088722987e-06;
    e = e * r + 2.4801485441561313e-05;
    e = e * r + 0.00019841269890076403;
    e = e * r + 0.0013888888952352863;
    e = e * r + 0.008333333333319589;
    e = e * r + 0.04166666666648795;
    e = e * r + 0.1666666666666668;
    e = e * r + 0.5000000000000019;
    e = e * r + 1.0;
    e = e * r + 1.0;
    return FROM_BITS(BITS(e) + (BITS(shifted) << 52));
}
