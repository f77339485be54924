/* Bodies of the optimiser steps (formulas: update.h), one fused pass over the arrays. Included
 * after body/elementwise.h. Each element is on its own: no order of work changes a bit. */

/* The strips of w, g and up to two states; a rule without a state gets a scratch strip. */
#define KATA__UPDATE_RULE(name, n_states, expression)                                              \
    static void NAME(name)(int64_t n, void *w_data, const void *g_data, void *state1,              \
                           void *state2, const kata__update_scalars *scalars) {                    \
        REAL *w_all = w_data, *s_all = state1, *v_all = state2;                                    \
        const REAL *g_all = g_data;                                                                \
        const REAL lr = (REAL)scalars->lr, shrink = (REAL)scalars->shrink;                         \
        const REAL momentum = (REAL)scalars->momentum, epsilon = (REAL)scalars->epsilon;           \
        const REAL decay1 = (REAL)scalars->decay1, decay2 = (REAL)scalars->decay2;                 \
        (void)momentum, (void)epsilon, (void)decay1, (void)decay2;                                 \
        REAL w_pad[KATA__STRIP], g_pad[KATA__STRIP], s_pad[KATA__STRIP], v_pad[KATA__STRIP];       \
        for (int j = 0; j < KATA__STRIP; j++) {                                                    \
            w_pad[j] = g_pad[j] = s_pad[j] = v_pad[j] = 1;                                         \
        }                                                                                          \
        for (int64_t i = 0; i < n; i += KATA__STRIP) {                                             \
            const bool last = n - i < KATA__STRIP;                                                 \
            const size_t n_bytes = (size_t)(last ? n - i : 0) * sizeof(REAL);                      \
            REAL *ws = w_all + i, *ss = s_pad, *vs = v_pad;                                        \
            const REAL *gs = g_all + i;                                                            \
            if (last) {                                                                            \
                memcpy(w_pad, ws, n_bytes);                                                        \
                memcpy(g_pad, gs, n_bytes);                                                        \
                ws = w_pad;                                                                        \
                gs = g_pad;                                                                        \
            }                                                                                      \
            if (n_states > 0 && last) {                                                            \
                memcpy(s_pad, s_all + i, n_bytes);                                                 \
            } else if (n_states > 0) {                                                             \
                ss = s_all + i;                                                                    \
            }                                                                                      \
            if (n_states > 1 && last) {                                                            \
                memcpy(v_pad, v_all + i, n_bytes);                                                 \
            } else if (n_states > 1) {                                                             \
                vs = v_all + i;                                                                    \
            }                                                                                      \
            for (int j = 0; j < KATA__STRIP; j += 64 / (int)sizeof(REAL)) {                        \
                KATA__PREFETCH_WRITE(ws + j + KATA__AHEAD);                                        \
                if (n_states > 0) {                                                                \
                    KATA__PREFETCH_WRITE(ss + j + KATA__AHEAD);                                    \
                }                                                                                  \
                if (n_states > 1) {                                                                \
                    KATA__PREFETCH_WRITE(vs + j + KATA__AHEAD);                                    \
                }                                                                                  \
            }                                                                                      \
            KATA__VECTOR_LOOP                                                                      \
            for (int j = 0; j < KATA__STRIP; j++) {                                                \
                const REAL g = gs[j];                                                              \
                REAL w = NAME(fma)(-shrink, ws[j], ws[j]), s = n_states > 0 ? ss[j] : 0;           \
                REAL v = n_states > 1 ? vs[j] : 0;                                                 \
                expression;                                                                        \
                ws[j] = w;                                                                         \
                if (n_states > 0) {                                                                \
                    ss[j] = s;                                                                     \
                }                                                                                  \
                if (n_states > 1) {                                                                \
                    vs[j] = v;                                                                     \
                }                                                                                  \
            }                                                                                      \
            if (last) {                                                                            \
                memcpy(w_all + i, w_pad, n_bytes);                                                 \
            }                                                                                      \
            if (last && n_states > 0) {                                                            \
                memcpy(s_all + i, s_pad, n_bytes);                                                 \
            }                                                                                      \
            if (last && n_states > 1) {                                                            \
                memcpy(v_all + i, v_pad, n_bytes);                                                 \
            }                                                                                      \
        }                                                                                          \
    }

KATA__UPDATE_RULE(update_sgd, 0, w = NAME(fma)(-lr, g, w); (void)s; (void)v)
KATA__UPDATE_RULE(update_momentum, 1, s = NAME(fma)(momentum, s, -(lr *g)); w += s; (void)v)
KATA__UPDATE_RULE(update_nesterov, 1,
                  w = NAME(fma)(momentum * momentum, s, NAME(fma)(-(1 + momentum) * lr, g, w));
                  s = NAME(fma)(momentum, s, -(lr *g)); (void)v)
KATA__UPDATE_RULE(update_adagrad, 1, s = NAME(fma)(g, g, s);
                  w -= lr * g / (NAME(sqrt)(s) + epsilon); (void)v)
KATA__UPDATE_RULE(update_rmsprop, 1, s = NAME(fma)(decay1, s, decay2 *(g *g));
                  w -= lr * g / (NAME(sqrt)(s) + epsilon); (void)v)
KATA__UPDATE_RULE(update_adam, 2, s = NAME(fma)(decay1, g - s, s);
                  v = NAME(fma)(decay2, NAME(fma)(g, g, -v), v);
                  w -= lr * s / (NAME(sqrt)(v) + epsilon))
