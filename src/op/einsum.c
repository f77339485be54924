/* Einsum: sums of products of elements that have index letters in common, by an equation such as
 * "bij,bjk->bik". Each letter, and each axis that an ellipsis stands for, is a loop; an operand has
 * a stride for each. The gradient of an operand is the same sum with dy in its place. */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/check.h"
#include "op/gradient.h"
#include "op/infer.h"
#include "op/loops.h"

#define MOST_LOOPS 24
#define MOST_TERMS 8

/* A term of the equation: which loop each of an operand's axes belongs to. */
typedef struct term {
    int rank;
    int loop[KATA_MAX_RANK];
} term;

typedef struct equation {
    int n_terms, n_loops;
    term terms[MOST_TERMS + 1]; /* the last one, terms[n_terms], is the output */
    int64_t size[MOST_LOOPS];   /* KATA_UNKNOWN_DIM: not known yet */
    char letter[MOST_LOOPS];    /* '.' for an axis of the ellipsis */
    int ellipsis, n_ellipsis;   /* the first loop of the ellipsis, how many there are */
} equation;

static int loop_of(equation *e, char letter) {
    for (int i = 0; i < e->n_loops; i++) {
        if (e->letter[i] == letter) {
            return i;
        }
    }
    if (e->n_loops == MOST_LOOPS) {
        return -1;
    }
    e->letter[e->n_loops] = letter;
    e->size[e->n_loops] = 1;
    return e->n_loops++;
}

static kata_status fail_equation(const char *text, const char *why) {
    return kata_fail(KATA_INVALID, "Einsum: the equation \"%.100s\" %s", text, why);
}

static int count_letters(const char *text, size_t length) {
    int n = 0;
    for (size_t i = 0; i < length; i++) {
        n += isalpha((unsigned char)text[i]) != 0;
    }
    return n;
}

/* Reads one term, `length` characters; `rank` is the operand's, -1 for the output. */
static kata_status read_term(equation *e, const char *all, const char *text, size_t length,
                             int rank, term *out) {
    int letters = count_letters(text, length);
    int n_dots = rank < 0 ? e->n_ellipsis : rank - letters;
    bool has_dots = false;
    *out = (term){0};
    for (size_t i = 0; i < length; i++) {
        if (text[i] == ' ') {
            continue;
        }
        bool dots = !has_dots && i + 2 < length && memcmp(text + i, "...", 3) == 0;
        if (!dots && !isalpha((unsigned char)text[i])) {
            return fail_equation(all, "has a character that is no letter, blank, comma or \"...\"");
        }
        if (letters + (dots || has_dots ? n_dots : 0) > KATA_MAX_RANK || (dots && n_dots < 0)) {
            return fail_equation(all, "does not go with the operands' ranks");
        }
        for (int k = 0; dots && k < n_dots; k++) { /* ellipses are aligned at the last axis */
            out->loop[out->rank++] = e->ellipsis + e->n_ellipsis - n_dots + k;
        }
        if (!dots) {
            int loop = loop_of(e, text[i]);
            if (loop < 0) {
                return kata_fail(KATA_LIMIT, "Einsum: more than %d indices", MOST_LOOPS);
            }
            out->loop[out->rank++] = loop;
        }
        has_dots = has_dots || dots;
        i += dots ? 2 : 0;
    }
    return rank >= 0 && out->rank != rank
               ? fail_equation(all, "does not go with the operands' ranks")
               : KATA_OK;
}

/* How many axes the widest ellipsis stands for: it needs loops of its own, made first. */
static kata_status read_ellipsis(equation *e, const char *all, const kata_shape *const *shapes,
                                 int n) {
    const char *at = all;
    for (int k = 0; k < n; k++) {
        size_t length = strcspn(at, ",-");
        char term_text[64];
        if (length >= sizeof term_text) {
            return fail_equation(all, "has a term of more than 63 characters");
        }
        memcpy(term_text, at, length);
        term_text[length] = '\0';
        if (strstr(term_text, "...") != NULL) {
            int axes = shapes[k]->rank - count_letters(at, length);
            e->n_ellipsis = axes > e->n_ellipsis ? axes : e->n_ellipsis;
        }
        at += length;
        at += *at == ',';
    }
    for (int k = 0; k < e->n_ellipsis; k++) {
        e->letter[e->n_loops] = '.';
        e->size[e->n_loops++] = 1;
    }
    return KATA_OK;
}

/* Without "->": the ellipsis, then each letter that occurs once, in the alphabet's order. */
static void implicit_output(equation *e, const char *all, term *out) {
    *out = (term){0};
    for (int k = 0; k < e->n_ellipsis; k++) {
        out->loop[out->rank++] = e->ellipsis + k;
    }
    for (int letter = 'A'; letter <= 'z'; letter++) {
        const char *first = strchr(all, letter);
        if (isalpha(letter) && first != NULL && strchr(first + 1, letter) == NULL &&
            out->rank < KATA_MAX_RANK) {
            out->loop[out->rank++] = loop_of(e, (char)letter);
        }
    }
}

static kata_status set_sizes(equation *e, const char *all, const kata_shape *const *shapes) {
    for (int k = 0; k < e->n_terms; k++) {
        for (int i = 0; i < e->terms[k].rank; i++) {
            int64_t *size = &e->size[e->terms[k].loop[i]], own = shapes[k]->dim[i];
            if (*size == 1 || (*size == KATA_UNKNOWN_DIM && own < 0) || (*size < 0 && own > 1)) {
                *size = own;
            } else if (own >= 0 && own != 1 && *size >= 0 && own != *size) {
                return kata_fail(KATA_SHAPE,
                                 "Einsum: \"%.100s\": axis %d of operand %d has the size %" PRId64
                                 ", its index has %" PRId64 " elsewhere",
                                 all, i, k, own, *size);
            }
        }
    }
    return KATA_OK;
}

static kata_status read_equation(equation *e, const char *all, const kata_shape *const *shapes,
                                 int n) {
    *e = (equation){.n_terms = n};
    if (n > MOST_TERMS) {
        return kata_fail(KATA_LIMIT, "Einsum: %d operands, at most %d are possible", n, MOST_TERMS);
    }
    const char *at = all, *arrow = strstr(all, "->");
    KATA__TRY(read_ellipsis(e, all, shapes, n));
    for (int k = 0; k < n; k++) {
        size_t length = strcspn(at, ",-");
        KATA__TRY(read_term(e, all, at, length, shapes[k]->rank, &e->terms[k]));
        at += length;
        if (k + 1 < n && *at != ',') {
            return fail_equation(all, "has fewer terms than operands");
        }
        at += *at == ',';
    }
    if (at != (arrow != NULL ? arrow : all + strlen(all))) {
        return fail_equation(all, "has more terms than operands");
    }
    int n_loops = e->n_loops;
    if (arrow == NULL) {
        implicit_output(e, all, &e->terms[n]);
    } else {
        KATA__TRY(read_term(e, all, arrow + 2, strlen(arrow + 2), -1, &e->terms[n]));
    }
    if (e->n_loops != n_loops) {
        return fail_equation(all, "has an index in the output that is in no operand");
    }
    for (int i = 0; i < e->terms[n].rank; i++) {
        for (int k = 0; k < i; k++) {
            if (e->terms[n].loop[i] == e->terms[n].loop[k]) {
                return fail_equation(all, "has an index twice in the output");
            }
        }
    }
    return set_sizes(e, all, shapes);
}

static kata_shape output_shape(const equation *e) {
    const term *out = &e->terms[e->n_terms];
    kata_shape shape = {.rank = out->rank};
    for (int i = 0; i < out->rank; i++) {
        shape.dim[i] = e->size[out->loop[i]];
    }
    return shape;
}

static kata_status infer_equation(const kata_infer *infer, equation *e, int first) {
    const kata_shape *shapes[KATA_MAX_INPUTS];
    for (int k = first; k < infer->n_inputs; k++) {
        KATA__TRY(kata__infer_one_dtype(infer, first, k));
        shapes[k - first] = &infer->inputs[k].shape;
    }
    return read_equation(e, infer->attributes[0].s, shapes, infer->n_inputs - first);
}

static kata_status Einsum_infer(kata_infer *infer) {
    equation e;
    KATA__TRY(kata__infer_dtype(infer, 0, KATA__NUMBERS));
    KATA__TRY(infer_equation(infer, &e, 0));
    infer->outputs[0] = (kata_type){infer->inputs[0].dtype, output_shape(&e)};
    return kata__infer_fits(infer);
}

/* The samples must be on one loop: of each operand that has them, and of the output. */
static void Einsum_batch(kata_batch *batch) {
    equation e;
    int loop = -1;
    const kata_shape *shapes[MOST_TERMS];
    for (int k = 0; k < batch->n_inputs && k < MOST_TERMS; k++) {
        shapes[k] = &batch->inputs[k].shape;
    }
    if (read_equation(&e, batch->attributes[0].s, shapes, batch->n_inputs) != KATA_OK) {
        return;
    }
    for (int k = 0; k < e.n_terms; k++) {
        if (batch->input_axes[k] >= 0) {
            const int here = e.terms[k].loop[batch->input_axes[k]];
            if (loop >= 0 && loop != here) {
                return;
            }
            loop = here;
        }
    }
    for (int k = 0; k < e.n_terms; k++) {
        for (int i = 0; i < e.terms[k].rank; i++) { /* once where it is, and with all blocks */
            const bool is_samples = i == batch->input_axes[k];
            const bool on_loop = e.terms[k].loop[i] == loop;
            if (is_samples ? shapes[k]->dim[i] != e.size[loop]
                           : on_loop && shapes[k]->dim[i] != 1) {
                return;
            }
        }
    }
    for (int i = 0; i < e.terms[e.n_terms].rank; i++) {
        if (e.terms[e.n_terms].loop[i] == loop) {
            batch->output_axes[0] = i;
        }
    }
}

/* --- the sum --------------------------------------------------------------------------------- */

/* The stride of each loop in a tensor; an index that comes twice is a diagonal, a size of 1 stays
 * where it is. */
static void loop_strides(const equation *e, const term *t, const kata_shape *shape,
                         int64_t stride[MOST_LOOPS]) {
    int64_t own[KATA_MAX_RANK];
    kata__strides(shape, own);
    memset(stride, 0, MOST_LOOPS * sizeof *stride);
    for (int i = 0; i < t->rank; i++) {
        stride[t->loop[i]] += shape->dim[i] == 1 && e->size[t->loop[i]] != 1 ? 0 : own[i];
    }
}

/* A tensor of the product, and where the loops have brought it. */
typedef struct factor {
    const kata_tensor *tensor;
    int64_t stride[MOST_LOOPS], at;
} factor;

static void step(const equation *e, const int *order, int n, int64_t *index, factor *factors,
                 int n_factors) {
    for (int i = n - 1; i >= 0; i--) {
        int loop = order[i];
        bool wraps = ++index[loop] == e->size[loop];
        for (int k = 0; k < n_factors; k++) {
            factors[k].at +=
                wraps ? -factors[k].stride[loop] * (e->size[loop] - 1) : factors[k].stride[loop];
        }
        if (!wraps) {
            return;
        }
        index[loop] = 0;
    }
}

/* to[outer loops] += the sum over the inner loops of the product of factors 1..n; factor 0 is `to`.
 * One element after the other, its terms in order: the same bits always. */
static void sum_products(const equation *e, factor *factors, int n_factors) {
    int order[MOST_LOOPS], n_outer = 0, n = 0;
    int64_t index[MOST_LOOPS] = {0}, outer = 1, inner = 1;
    for (int pass = 0; pass < 2; pass++) { /* first the loops that move `to` */
        for (int i = 0; i < e->n_loops; i++) {
            if ((factors[0].stride[i] != 0) == (pass == 0)) {
                order[n++] = i;
                *(pass == 0 ? &outer : &inner) *= e->size[i];
            }
        }
        n_outer = pass == 0 ? n : n_outer;
    }
    const kata_tensor *to = factors[0].tensor;
    const bool is_float = kata_dtype_is_float(to->dtype);
    for (int64_t o = 0; o < outer && inner > 0; o++) {
        double sum = is_float ? kata_load(to->dtype, to->data, factors[0].at) : 0;
        int64_t sum_integer = is_float ? 0 : kata__load_int(to->dtype, to->data, factors[0].at);
        for (int64_t i = 0; i < inner; i++) {
            double product = 1;
            int64_t product_integer = 1;
            for (int k = 1; k < n_factors; k++) {
                const kata_tensor *x = factors[k].tensor;
                if (is_float) {
                    product *= kata_load(x->dtype, x->data, factors[k].at);
                } else {
                    product_integer = kata__wrap_mul(
                        product_integer, kata__load_int(x->dtype, x->data, factors[k].at));
                }
            }
            sum += product;
            sum_integer = kata__wrap_add(sum_integer, product_integer);
            step(e, order + n_outer, n - n_outer, index, factors, n_factors);
        }
        if (is_float) {
            kata_store(to->dtype, to->data, factors[0].at, sum);
        } else {
            kata__store_int(to->dtype, to->data, factors[0].at, sum_integer);
        }
        step(e, order, n_outer, index, factors, n_factors);
    }
}

static void clear(const kata_tensor *tensor) {
    if (kata_tensor_count(tensor) > 0) {
        memset(tensor->data, 0, kata_tensor_bytes(tensor));
    }
}

static kata_status Einsum_reference(const kata_call *call) {
    equation e;
    factor factors[MOST_TERMS + 1] = {{.tensor = &call->outputs[0]}};
    const kata_shape *shapes[MOST_TERMS] = {NULL};
    for (int k = 0; k < call->n_inputs && k < MOST_TERMS; k++) {
        shapes[k] = &call->inputs[k].shape;
    }
    KATA__TRY(read_equation(&e, call->attributes[0].s, shapes, call->n_inputs));
    loop_strides(&e, &e.terms[e.n_terms], &call->outputs[0].shape, factors[0].stride);
    for (int k = 0; k < call->n_inputs; k++) {
        factors[k + 1].tensor = &call->inputs[k];
        loop_strides(&e, &e.terms[k], shapes[k], factors[k + 1].stride);
    }
    clear(&call->outputs[0]);
    if (kata_tensor_count(&call->outputs[0]) > 0) {
        sum_products(&e, factors, call->n_inputs + 1);
    }
    return KATA_OK;
}

static kata_status Einsum_gradient(kata_gradient *g) {
    kata_value inputs[MOST_TERMS + 1] = {g->output_gradients[0]};
    memcpy(inputs + 1, g->inputs, (size_t)g->n_inputs * sizeof *inputs);
    for (int k = 0; k < g->n_inputs; k++) {
        if (g->needed[k]) {
            const kata_attribute attributes[] = {KATA_STRING("equation", g->attributes[0].s),
                                                 KATA_INT("operand", k)};
            g->input_gradients[k] = kata_graph_node(g->graph, "kata:EinsumGrad", inputs,
                                                    g->n_inputs + 1, attributes, 2);
        }
    }
    return kata_graph_status(g->graph);
}

static kata_status EinsumGrad_infer(kata_infer *infer) {
    equation e;
    int64_t operand = infer->attributes[1].i;
    char a[KATA_SHAPE_TEXT_SIZE], b[KATA_SHAPE_TEXT_SIZE];
    KATA__TRY(kata__infer_float(infer, 0, true));
    KATA__TRY(kata__infer_one_dtype(infer, 0, 1));
    KATA__TRY(infer_equation(infer, &e, 1));
    kata_shape dy = output_shape(&e);
    if (operand < 0 || operand >= e.n_terms || !kata_shape_equal(&dy, &infer->inputs[0].shape)) {
        return kata_fail(KATA_SHAPE, "EinsumGrad: dy of operand %" PRId64 " must be %s, got %s",
                         operand, kata_shape_text(&dy, a),
                         kata_shape_text(&infer->inputs[0].shape, b));
    }
    infer->outputs[0] = infer->inputs[1 + operand];
    return KATA_OK;
}

static kata_status EinsumGrad_reference(const kata_call *call) {
    equation e;
    factor factors[MOST_TERMS + 1] = {{.tensor = &call->outputs[0]}};
    const kata_shape *shapes[MOST_TERMS] = {NULL};
    int operand = (int)call->attributes[1].i, n = call->n_inputs - 1, used = 1;
    for (int k = 0; k < n && k < MOST_TERMS; k++) {
        shapes[k] = &call->inputs[1 + k].shape;
    }
    KATA__TRY(read_equation(&e, call->attributes[0].s, shapes, n));
    loop_strides(&e, &e.terms[operand], shapes[operand], factors[0].stride);
    factors[used].tensor = &call->inputs[0];
    loop_strides(&e, &e.terms[n], &call->inputs[0].shape, factors[used++].stride);
    for (int k = 0; k < n; k++) {
        if (k != operand) {
            factors[used].tensor = &call->inputs[1 + k];
            loop_strides(&e, &e.terms[k], shapes[k], factors[used++].stride);
        }
    }
    clear(&call->outputs[0]);
    if (kata_tensor_count(&call->outputs[0]) > 0) {
        sum_products(&e, factors, used);
    }
    return KATA_OK;
}

static double einsum_flops(const kata_call *call) {
    equation e;
    const kata_shape *shapes[MOST_TERMS] = {NULL};
    for (int k = 0; k < call->n_inputs && k < MOST_TERMS; k++) {
        shapes[k] = &call->inputs[k].shape;
    }
    if (read_equation(&e, call->attributes[0].s, shapes, call->n_inputs) != KATA_OK) {
        return 0;
    }
    double n = call->n_inputs;
    for (int i = 0; i < e.n_loops; i++) {
        n *= (double)e.size[i];
    }
    return n;
}

#define EQUATION                                                                                   \
    {                                                                                              \
        .name = "equation", .type = KATA_ATTRIBUTE_STRING, .required = true,                       \
        .doc = "terms of index letters, as \"ij,jk->ik\""                                          \
    }

const kata_op kata__op_Einsum = {
    .name = "Einsum",
    .domain = "",
    .since = 12,
    .min_inputs = 1,
    .max_inputs = MOST_TERMS,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = (const kata_attribute_spec[]){EQUATION, {.name = NULL}},
    .infer = Einsum_infer,
    .batch = Einsum_batch,
    .reference = Einsum_reference,
    .gradient = Einsum_gradient,
    .flops = einsum_flops,
    .tolerance = 1e-5,
    .doc = "Sums of products of elements that have index letters in common.",
};

const kata_op kata__op_kata_EinsumGrad = {
    .name = "EinsumGrad",
    .domain = "kata",
    .since = 1,
    .min_inputs = 2,
    .max_inputs = MOST_TERMS + 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes =
        (const kata_attribute_spec[]){
            EQUATION,
            {.name = "operand", .type = KATA_ATTRIBUTE_INT, .doc = "whose gradient it is"},
            {.name = NULL}},
    .infer = EinsumGrad_infer,
    .reference = EinsumGrad_reference,
    .flags = KATA_OP_INTERNAL,
    .tolerance = 1e-5,
    .doc = "Gradient of one operand of Einsum from (dy, operands...).",
};
