/* Many trajectories of one small system, one lane each: a thread of a GPU, or a lane of a CPU's vector.

   What is generated stands above: N (modes), P (parameters), RING, FEATURES (where they begin), and the functions
   rates, jacobian, index_sums, and of the pair of order 5 stages, dense_weights, MIDDLE and ERROR; see ensemble_code.py.
   The same text is CUDA C++ (real is double) and C with GNU vectors (real is WIDTH doubles).

   A lane holds one member at a time, and takes the next of the queue when it is done, so that none is ever idle while
   others work.  A new member's first attempt has length 0: it makes the rate at the start and nothing else. */

#define STIFF_AT 3.0
#define STIFF_STEPS 15
#define STIFF_LEFT 200.0

enum { DONE, UNDERFLOW, TOO_MANY_STEPS, STIFF };

/* ---- the window of an index I(t); see ensemble_window.py ------------------------------------------------------ */

typedef struct { double start, length, first, slope, middle, last, final, top, before; } Rise;

typedef struct {
    double height, peak, end, onset, settled, first, level;
    long long rises; /* of which the last RING are kept in a ring beside */
} Watch;

typedef struct { double start, length, c[5]; } Piece;

INLINE Piece piece_of(const Rise* r) {
    Piece p;
    const double c1 = r->length * r->slope;
    const double A = r->last - r->first - c1, B = r->length * r->final - c1;
    const double C = 16 * (r->middle - r->first) - 8 * c1;
    p.start = r->start;
    p.length = r->length;
    p.c[0] = r->first;
    p.c[1] = c1;
    p.c[4] = 2 * B - 8 * A + C;
    p.c[3] = B - 2 * A - 2 * p.c[4];
    p.c[2] = A - p.c[3] - p.c[4];
    return p;
}

INLINE double piece_value(const Piece* p, double x) {
    return p->c[0] + x * (p->c[1] + x * (p->c[2] + x * (p->c[3] + x * p->c[4])));
}

INLINE double piece_slope(const Piece* p, double x) {
    return p->c[1] + x * (2 * p->c[2] + x * (3 * p->c[3] + x * 4 * p->c[4]));
}

INLINE double piece_bend(const Piece* p, double x) { return 2 * p->c[2] + x * (6 * p->c[3] + x * 12 * p->c[4]); }

/* A root between low and high of the value less a level (which = 0) or of the slope (which = 1), which has the given
   sign at high: halved intervals, then Newton's steps inside the last one. */
HELPER double piece_root(const Piece* p, int which, double level, double sign, double low, double high) {
    for (int k = 0; k < 20; ++k) {
        const double middle = 0.5 * (low + high);
        const double f = sign * (which ? piece_slope(p, middle) : piece_value(p, middle) - level);
        if (f < 0) low = middle; else high = middle;
    }
    double x = 0.5 * (low + high);
    for (int k = 0; k < 3; ++k) {
        const double f = which ? piece_slope(p, x) : piece_value(p, x) - level;
        const double d = which ? piece_bend(p, x) : piece_slope(p, x);
        if (d != 0) x -= f / d;
        x = x < low ? low : x > high ? high : x;
    }
    return x;
}

INLINE double piece_crossing(const Piece* p, double level, double low, double high) {
    const double sign = piece_value(p, low) <= piece_value(p, high) ? 1.0 : -1.0;
    return p->start + p->length * piece_root(p, 0, level, sign, low, high);
}

INLINE void watch_begin(Watch* w, double I, double level) {
    w->height = w->settled = w->first = I;
    w->peak = 0;
    w->end = NOT_YET;
    w->level = level;
    w->onset = (level == NEVER || I >= level) ? 0 : NOT_YET;
    w->rises = 0;
}

HELPER void watch_step(Watch* w, Rise* ring, Rise r) {
    double x = r.last >= r.first ? 1.0 : 0.0;
    r.top = r.last >= r.first ? r.last : r.first;
    r.before = w->height;
    Piece p;
    const int bump = r.slope > 0 && r.final < 0;
    if (bump) {
        p = piece_of(&r);
        x = piece_root(&p, 1, 0.0, -1.0, 0.0, 1.0);
        r.top = piece_value(&p, x);
    }
    if (w->onset != w->onset && r.top >= w->level) {
        p = piece_of(&r);
        w->onset = piece_crossing(&p, w->level, 0.0, x);
    }
    if (r.top > w->height) {
        ring[w->rises++ % RING] = r;
        w->height = r.top;
        w->peak = r.start + x * r.length;
    }
    const double half = 0.5 * w->height;
    if (r.last >= half) {
        w->end = NOT_YET;
    } else if (r.top >= half) {
        p = piece_of(&r);
        w->end = piece_crossing(&p, half, x, 1.0);
    }
}

/* Look up the onset that belongs to the present height; NaN where it has been overwritten. */
HELPER void watch_settle(Watch* w, const Rise* ring) {
    const double half = 0.5 * w->height;
    const int waiting = w->settled < w->height && w->first < half && w->level == NEVER;
    w->settled = w->height;
    if (!waiting) return;
    w->onset = NOT_YET;
    for (long long k = w->rises > RING ? w->rises - RING : 0; k < w->rises; ++k) {
        const Rise* r = &ring[k % RING];
        if (r->top < half) continue;
        if (r->before < half) {
            const Piece p = piece_of(r);
            const double x = r->last >= half ? 1.0 : piece_root(&p, 1, 0.0, -1.0, 0.0, 1.0);
            w->onset = piece_crossing(&p, half, 0.0, x);
        }
        return;
    }
}

/* ---- steps --------------------------------------------------------------------------------------------------- */

/* x^exponent to a tenth, for exponents below 1, from the bits of x. */
INLINE real power(real x, double exponent) {
    const double one = 4607182418800017408.0;
    return FROM_BITS(TO_WHOLE(exponent * (TO_REAL(BITS(x)) - one) + one));
}

/* 1/x to 1.5 %, from the bits of x. */
INLINE real about_inverse(real x) {
    const real r = FROM_BITS(0x7FDE623822FC16E6LL - BITS(x));
    return r * (2.0 - x * r);
}

/* The mean square of errors in units of the tolerance. */
INLINE real measure(const real* y, const real* end, const real* error, real atol, double rtol) {
    real total = ZERO;
    for (int i = 0; i < N; ++i) {
        const real a = ABS(y[i]), b = ABS(end[i]);
        const real e = error[i] * about_inverse(atol + rtol * SELECT(a > b, a, b));
        total += e * e;
    }
    return total * (1.0 / N);
}

/* A hundredth of the time in which the rate changes the state by its own size. */
INLINE real first_step(const real* y, const real* rate, real atol, double rtol, double end) {
    real size = ZERO, speed = ZERO;
    for (int i = 0; i < N; ++i) {
        const real s = about_inverse(atol + rtol * ABS(y[i]));
        size += (y[i] * s) * (y[i] * s);
        speed += (rate[i] * s) * (rate[i] * s);
    }
    const real h = 0.01 * SQRT(size / (speed + 1e-300)), whole_time = ZERO + end;
    return SELECT(h < end, h, whole_time);
}

INLINE void index_of(const real* y, const real* rate, real* I, real* slope) {
    real main, all, main_moved, all_moved;
    index_sums(y, y, &main, &all);
    index_sums(y, rate, &main_moved, &all_moved);
    const real inverse = 1.0 / (all + 1e-300), share = main * inverse;
    *I = (share - ETF) * (1.0 / (1.0 - ETF));
    *slope = (main_moved - share * all_moved) * inverse * (2.0 / (1.0 - ETF));
}

#define SAFETY 0.9

typedef struct {
    real K[7][N]; /* rates of the pair's stages, or U of the Rosenbrock method's */
    real end[N], end_rate[N], error[N];
    real stiffness; /* (step x spectral radius)^2 */
} Attempt;

INLINE void attempt_explicit(Attempt* a, const real* y, const real* rate, real h, const real* p) {
    real before[N];
    for (int i = 0; i < N; ++i) a->K[0][i] = rate[i];
    stages(a->K, y, h, p, before, a->end);
    for (int i = 0; i < N; ++i) a->end_rate[i] = a->K[6][i];
    real far = ZERO, steep = ZERO;
    for (int i = 0; i < N; ++i) {
        const real apart = a->end[i] - before[i], bend = a->K[6][i] - a->K[5][i];
        far += apart * apart;
        steep += bend * bend;
        a->error[i] = h * ERROR(a->K, i);
    }
    a->stiffness = h * h * steep / (far + 1e-300);
}

#ifdef IMPLICIT
/* Without pivots: W = I/(h gamma) - J is positive on the flow of a gradient once h is small enough; where it is not,
   the step is rejected. */
INLINE void attempt_implicit(Attempt* a, const real* y, const real* rate, real h, const real* p) {
    real W[N * N], b[N];
    const real inverse_h = 1.0 / (h + 1e-300);
    jacobian(y, p, W);
    for (int i = 0; i < N * N; ++i) W[i] = -W[i];
    for (int i = 0; i < N; ++i) W[i * N + i] += inverse_h * (1.0 / GAMMA);
    whole bad = ABS(h) < 0.0;
    for (int k = 0; k < N; ++k) {
        bad |= (W[k * N + k] <= 0.0) | (W[k * N + k] != W[k * N + k]);
        const real inverse = 1.0 / W[k * N + k];
        W[k * N + k] = inverse;
        for (int i = k + 1; i < N; ++i) {
            const real l = W[i * N + k] * inverse;
            W[i * N + k] = l;
            for (int j = k + 1; j < N; ++j) W[i * N + j] -= l * W[k * N + j];
        }
    }
    for (int s = 0; s < 6; ++s) {
        for (int i = 0; i < N; ++i) a->end[i] = y[i];
        for (int j = 0; j < s; ++j)
            for (int i = 0; i < N; ++i) a->end[i] += ROS_A[s][j] * a->K[j][i];
        if (s == 0)
            for (int i = 0; i < N; ++i) b[i] = rate[i];
        else
            rates(a->end, p, b);
        for (int j = 0; j < s; ++j)
            for (int i = 0; i < N; ++i) b[i] += ROS_C[s][j] * inverse_h * a->K[j][i];
        for (int k = 0; k < N; ++k)
            for (int i = k + 1; i < N; ++i) b[i] -= W[i * N + k] * b[k];
        for (int k = N - 1; k >= 0; --k) {
            b[k] *= W[k * N + k];
            for (int i = 0; i < k; ++i) b[i] -= W[i * N + k] * b[k];
        }
        for (int i = 0; i < N; ++i) a->K[s][i] = b[i];
    }
    const real large = ZERO + 1e300;
    for (int i = 0; i < N; ++i) {
        a->end[i] += a->K[5][i];
        a->error[i] = SELECT(bad, large, a->K[5][i]);
    }
    /* A new member's h is 0: its state stays, and its rate is made. */
    const whole still = h <= 0.0;
    for (int i = 0; i < N; ++i) {
        a->end[i] = SELECT(still, y[i], a->end[i]);
        a->error[i] = SELECT(still, ZERO, a->error[i]);
    }
    rates(a->end, p, a->end_rate);
    a->stiffness = ZERO;
}
#endif

INLINE void half_way(const Attempt* a, const real* y, real h, real* out, const int implicit) {
    for (int i = FEATURES; i < N; ++i) {
#ifdef IMPLICIT
        if (implicit) {
            real d = ZERO, e = ZERO;
            for (int j = 0; j < 5; ++j) d += ROS_D[0][j] * a->K[j][i], e += ROS_D[1][j] * a->K[j][i];
            out[i] = 0.5 * y[i] + 0.5 * (a->end[i] + 0.5 * (d + 0.5 * e));
            continue;
        }
#endif
        out[i] = y[i] + h * MIDDLE(a->K, i);
    }
}

/* One number of a lane's state at the fraction x of its step. */
INLINE double between(const Attempt* a, const real* y, real h, int i, int l, double x, const double* b, int implicit) {
    double sum = 0;
#ifdef IMPLICIT
    if (implicit) {
        for (int j = 0; j < 5; ++j) sum += (ROS_D[0][j] + x * ROS_D[1][j]) * LANE(a->K[j][i], l);
        return (1 - x) * LANE(y[i], l) + x * (LANE(a->end[i], l) + (1 - x) * sum);
    }
#endif
    for (int j = 0; j < 7; ++j) sum += b[j] * LANE(a->K[j][i], l);
    return LANE(y[i], l) + LANE(h, l) * sum;
}

/* ---- the work -------------------------------------------------------------------------------------------------- */

typedef struct {
    long long members, queued, times, most_steps, watched, seek_stiffness, resumed, levelled;
    double end, rtol;
    const long long* queue;
    const double *start, *parameters, *atol, *time, *level;
    double *state, *reached, *kept, *window, *paused;
    long long *status, *steps, *rejected, *taken; /* taken: of the queue, by all threads; and attempts of all lanes */
} Work;

INLINE void run(const Work* work, const int implicit) {
    real y[N], rate[N], p[P], middle[N], t = ZERO, h = ZERO, before = ZERO + 1.0, atol = ZERO + 1.0;
    real I = ZERO, slope = ZERO, I_end = ZERO, slope_end = ZERO, I_middle = ZERO;
    whole stiff = ZERO < -1.0;
    long long member[WIDTH], next_time[WIDTH], count[WIDTH], refused[WIDTH];
    Watch watch[WIDTH];
    Rise ring[WIDTH][RING];
    Attempt a;
    const double order = implicit ? 4.0 : 5.0;
    for (int i = 0; i < N; ++i) y[i] = rate[i] = ZERO + 1.0;
    for (int i = 0; i < P; ++i) p[i] = ZERO + 1.0;
    for (int l = 0; l < WIDTH; ++l) member[l] = -1, next_time[l] = count[l] = refused[l] = 0;
    const long long M = work->members;
    long long attempts = 0;

    for (;;) {
        int working = 0, fresh = 0;
        for (int l = 0; l < WIDTH; ++l) {
            if (member[l] < 0) {
                const long long place = TAKE(work->taken);
                if (place >= work->queued) continue;
                const long long m = work->queue[place];
                const double* from = work->resumed ? work->state : work->start;
                member[l] = m;
                for (int i = 0; i < N; ++i) LANE(y[i], l) = from[i * M + m];
                for (int i = 0; i < P; ++i) LANE(p[i], l) = work->parameters[i * M + m];
                LANE(atol, l) = work->atol[m];
                LANE(t, l) = work->resumed ? work->reached[m] : 0.0;
                count[l] = work->resumed ? work->steps[m] : 0;
                refused[l] = work->resumed ? work->rejected[m] : 0;
                LANE(h, l) = 0.0;
                LANE(before, l) = 1e-8;
                LANE(stiff, l) = 0;
                next_time[l] = 0;
                while (next_time[l] < work->times && work->time[next_time[l]] <= LANE(t, l)) ++next_time[l];
                fresh = 1;
            }
            working = 1;
        }
        if (!working) break;
        ++attempts;

        const real left = work->end - t;
        const whole last = h >= left;
        const real step = SELECT(last, left, h);
#ifdef IMPLICIT
        if (implicit) attempt_implicit(&a, y, rate, step, p);
        else
#endif
            attempt_explicit(&a, y, rate, step, p);
        real error = measure(y, a.end, a.error, atol, work->rtol);
        const whole taken = error <= 1.0;
        error = SELECT(error < 1e18, error, ZERO + 1e18);
        error = SELECT(error > 1e-20, error, ZERO + 1e-20);
        const real alone = SAFETY * power(error, -0.425 / order);
        real grown = alone * power(before, 0.1 / order), shrunk = alone;
        grown = SELECT(grown > 0.2, grown, ZERO + 0.2);
        grown = SELECT(grown < 10.0, grown, ZERO + 10.0);
        shrunk = SELECT(shrunk > 0.2, shrunk, ZERO + 0.2);
        shrunk = SELECT(shrunk < 1.0, shrunk, ZERO + 1.0);

        if (work->watched) {
            index_of(a.end, a.end_rate, &I_end, &slope_end);
            half_way(&a, y, step, middle, implicit);
            real main, all;
            index_sums(middle, middle, &main, &all);
            I_middle = (main / (all + 1e-300) - ETF) * (1.0 / (1.0 - ETF));
        }
        if (work->times) {
            for (int l = 0; l < WIDTH; ++l) {
                if (member[l] < 0 || !LANE(taken, l)) continue;
                const double now = LANE(last, l) ? work->end : LANE(t, l) + LANE(step, l);
                while (next_time[l] < work->times && work->time[next_time[l]] <= now) {
                    double x = (work->time[next_time[l]] - LANE(t, l)) / LANE(step, l), b[7];
                    x = x < 0 ? 0 : x > 1 ? 1 : x;
                    dense_weights(x, b);
                    double* row = work->kept + (member[l] * work->times + next_time[l]) * N;
                    for (int i = 0; i < N; ++i) row[i] = between(&a, y, step, i, l, x, b, implicit);
                    ++next_time[l];
                }
            }
        }

        const whole limited = a.stiffness > STIFF_AT * STIFF_AT;
        stiff = SELECT_WHOLE(taken, SELECT_WHOLE(limited, stiff + 1, ZERO_WHOLE), stiff);
        const real start = t;
        const whole new_lane = step <= 0.0;
        for (int i = 0; i < N; ++i) {
            y[i] = SELECT(taken, a.end[i], y[i]);
            rate[i] = SELECT(taken, a.end_rate[i], rate[i]);
        }
        const real end_time = ZERO + work->end, moved = t + step;
        t = SELECT(taken, SELECT(last, end_time, moved), t);
        const real uncut = SELECT(last, h, ZERO);
        real longer = step * grown;
        longer = SELECT(longer > uncut, longer, uncut);
        h = SELECT(taken, longer, step * shrunk);
        before = SELECT(taken & ~new_lane, SELECT(error > 1e-8, error, ZERO + 1e-8), before);
        if (fresh) h = SELECT(new_lane, first_step(y, rate, atol, work->rtol, work->end), h);

        for (int l = 0; l < WIDTH; ++l) {
            const long long m = member[l];
            if (m < 0) continue;
            if (LANE(new_lane, l)) {
                if (work->watched) {
                    watch_begin(&watch[l], LANE(I_end, l), work->levelled ? work->level[m] : NEVER);
                    if (work->resumed) {
                        double* known = &watch[l].height;
                        for (int k = 0; k < 7; ++k) known[k] = work->paused[k * M + m];
                    }
                    LANE(I, l) = LANE(I_end, l);
                    LANE(slope, l) = LANE(slope_end, l);
                }
                if (LANE(taken, l)) continue;
            }
            ++count[l];
            refused[l] += !LANE(taken, l);
            int status = -1;
            if (LANE(taken, l)) {
                if (work->watched) {
                    Rise r;
                    r.start = LANE(start, l);
                    r.length = LANE(step, l);
                    r.first = LANE(I, l);
                    r.slope = LANE(slope, l);
                    r.middle = LANE(I_middle, l);
                    r.last = LANE(I, l) = LANE(I_end, l);
                    r.final = LANE(slope, l) = LANE(slope_end, l);
                    watch_step(&watch[l], ring[l], r);
                    if (work->levelled && watch[l].onset == watch[l].onset) status = DONE;
                }
                if (LANE(t, l) >= work->end) status = DONE;
                else if (work->seek_stiffness && LANE(stiff, l) >= STIFF_STEPS
                         && work->end - LANE(t, l) > STIFF_LEFT * LANE(h, l)) status = STIFF;
            } else if (!(LANE(t, l) + 0.1 * LANE(h, l) > LANE(t, l))) {
                status = UNDERFLOW;
            }
            if (status < 0 && count[l] >= work->most_steps) status = TOO_MANY_STEPS;
            if (status < 0) continue;
            member[l] = -1;
            LANE(h, l) = 0.0;
            if (work->levelled) {
                work->window[m] = watch[l].onset;
                continue;
            }
            for (int i = 0; i < N; ++i) work->state[i * M + m] = LANE(y[i], l);
            work->reached[m] = LANE(t, l);
            work->status[m] = status;
            work->steps[m] = count[l];
            work->rejected[m] = refused[l];
            if (!work->watched) continue;
            watch_settle(&watch[l], ring[l]);
            const double end = watch[l].end == watch[l].end ? watch[l].end : LANE(t, l);
            work->window[m] = watch[l].onset;
            work->window[M + m] = watch[l].peak;
            work->window[2 * M + m] = end;
            work->window[3 * M + m] = watch[l].height;
            const double* known = &watch[l].height;
            for (int k = 0; k < 7; ++k) work->paused[k * M + m] = known[k];
        }
    }
    COUNT(work->taken + 1, attempts);
}

ENTRY void run_explicit(const Work* work) { run(work, 0); }
#ifdef IMPLICIT
ENTRY void run_implicit(const Work* work) { run(work, 1); }
#endif
