/* Named inputs from JSON, named outputs to JSON. */
#include "serve/named.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/memory.h"
#include "format/json.h"
#include "serve/instances.h"

enum { MOST_ELEMENTS = 16 << 20 };

/* One input while it is read. */
typedef struct column {
    const char *name;
    kata_dtype dtype;
    kata_shape wanted, seen; /* a size that was not seen yet is -1 */
    int rank;                /* of `seen`; -1: no element was seen yet */
    int64_t n, row;          /* elements; the last row that gave this input */
    void *data;
    size_t capacity;
} column;

typedef struct job {
    kata_context *context;
    kata__json json;
    column *columns;
    kata_named_tensor *inputs, *outputs;
    int n_inputs, n_outputs;
    int64_t n_rows;
} job;

/* --- elements ----------------------------------------------------------------------------------
 */

static kata_status wrong_element(const column *c, const kata__json_token *token) {
    return kata_fail(KATA_DTYPE, "input %.80s takes elements of %s; the one at byte %zu is not",
                     c->name, kata_dtype_name(c->dtype), token->place);
}

static bool is_whole_in_range(kata_dtype dtype, double value) {
    const bool is_signed =
        dtype == KATA_I4 || dtype == KATA_I8 || dtype == KATA_I16 || dtype == KATA_I32;
    const int bits = dtype == KATA_I4 || dtype == KATA_U4 ? 4 : (int)kata_dtype_size(dtype) * 8;
    const double low = is_signed ? -ldexp(1, bits - 1) : 0;
    return value == floor(value) && value >= low && value < ldexp(1, is_signed ? bits - 1 : bits);
}

static kata_status store(column *c, const kata__json_token *token) {
    char *end = NULL;
    const bool is_text = token->kind == KATA__JSON_STRING;
    const bool is_truth = token->kind == KATA__JSON_TRUE || token->kind == KATA__JSON_FALSE;
    if (is_text != (c->dtype == KATA_STRING) || is_truth != (c->dtype == KATA_BOOL) ||
        (!is_text && !is_truth && token->kind != KATA__JSON_NUMBER)) {
        return wrong_element(c, token);
    }
    if (is_text) {
        ((kata_string *)c->data)[c->n] = (kata_string){token->text, (int64_t)token->length};
    } else if (is_truth) {
        kata_store(c->dtype, c->data, c->n, token->kind == KATA__JSON_TRUE);
    } else if (c->dtype == KATA_I64 || c->dtype == KATA_U64) {
        errno = 0;
        if (c->dtype == KATA_I64) {
            ((int64_t *)c->data)[c->n] = strtoll(token->text, &end, 10);
        } else {
            ((uint64_t *)c->data)[c->n] = strtoull(token->text, &end, 10);
        }
        if (errno != 0 || end != token->text + token->length ||
            (c->dtype == KATA_U64 && token->text[0] == '-')) {
            return wrong_element(c, token);
        }
    } else {
        const double value = strtod(token->text, NULL);
        if (!kata_dtype_is_float(c->dtype) && !is_whole_in_range(c->dtype, value)) {
            return wrong_element(c, token);
        }
        if (!isfinite(value) || (c->dtype == KATA_F32 && !isfinite((float)value))) {
            return kata_fail(KATA_FORMAT, "the number at byte %zu is too large for %s",
                             token->place, kata_dtype_name(c->dtype));
        }
        kata_store(c->dtype, c->data, c->n, value);
    }
    c->n++;
    return KATA_OK;
}

static kata_status ragged(const column *c, const kata__json_token *token) {
    return kata_fail(KATA_SHAPE, "the lists of input %.80s are ragged at byte %zu", c->name,
                     token->place);
}

/* The value that begins with `token`, `depth` lists deep. */
static kata_status read_value(job *j, column *c, int depth, kata__json_token *token) {
    if (token->kind != KATA__JSON_ARRAY_BEGIN) {
        if (c->rank >= 0 && c->rank != depth) {
            return ragged(c, token);
        }
        c->rank = depth;
        KATA__TRY(kata__grow(j->context, &c->data, &c->capacity, (size_t)c->n + 1,
                             kata_dtype_size(c->dtype), MOST_ELEMENTS));
        return store(c, token);
    }
    if (depth >= KATA_MAX_RANK) {
        return kata_fail(KATA_LIMIT, "input %.80s is nested deeper than %d lists", c->name,
                         KATA_MAX_RANK);
    }
    const kata__json_token first = *token;
    int64_t n = 0;
    for (;; n++) {
        KATA__TRY(kata__json_next(&j->json, token));
        if (token->kind == KATA__JSON_ARRAY_END) {
            break;
        }
        KATA__TRY(read_value(j, c, depth + 1, token));
    }
    if (c->seen.dim[depth] >= 0 && c->seen.dim[depth] != n) {
        return ragged(c, &first);
    }
    c->seen.dim[depth] = n;
    return KATA_OK;
}

/* --- rows and columns --------------------------------------------------------------------------
 */

/* {"a": .., "b": ..}: every input once. row: -1 of whole columns. */
static kata_status read_inputs(job *j, int64_t row) {
    kata__json_token token;
    for (;;) {
        KATA__TRY(kata__json_next(&j->json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            break;
        }
        column *c = NULL;
        for (int i = 0; i < j->n_inputs && c == NULL; i++) {
            c = strcmp(j->columns[i].name, token.text) == 0 ? &j->columns[i] : NULL;
        }
        if (c == NULL) {
            return kata_fail(KATA_INVALID, "the model has no input %.80s; the first is %.80s",
                             token.text, j->columns[0].name);
        }
        if (c->row == row) {
            return kata_fail(KATA_INVALID, "input %.80s is given twice at byte %zu", c->name,
                             token.place);
        }
        c->row = row;
        KATA__TRY(kata__json_next(&j->json, &token));
        KATA__TRY(read_value(j, c, row < 0 ? 0 : 1, &token));
    }
    for (int i = 0; i < j->n_inputs; i++) {
        if (j->columns[i].row != row && row >= 0) {
            return kata_fail(KATA_INVALID, "instance %" PRId64 " lacks the input %.80s", row,
                             j->columns[i].name);
        }
        if (j->columns[i].row != row) {
            return kata_fail(KATA_INVALID, "the input %.80s is missing", j->columns[i].name);
        }
    }
    return KATA_OK;
}

static kata_status read_rows(job *j) {
    kata__json_token token;
    KATA__TRY(kata__json_expect(&j->json, KATA__JSON_ARRAY_BEGIN, "a list of instances", &token));
    for (;; j->n_rows++) {
        KATA__TRY(kata__json_next(&j->json, &token));
        if (token.kind == KATA__JSON_ARRAY_END) {
            break;
        }
        if (j->n_rows >= KATA__INSTANCES_MOST) {
            return kata_fail(KATA_LIMIT, "at most %d instances a request", KATA__INSTANCES_MOST);
        }
        if (token.kind == KATA__JSON_OBJECT_BEGIN) {
            KATA__TRY(read_inputs(j, j->n_rows));
        } else if (j->n_inputs == 1) {
            KATA__TRY(read_value(j, &j->columns[0], 1, &token));
        } else {
            return kata_fail(KATA_FORMAT,
                             "instance %" PRId64 " is not an object; the model has %d inputs, "
                             "which are given by name",
                             j->n_rows, j->n_inputs);
        }
    }
    for (int i = 0; i < j->n_inputs; i++) {
        j->columns[i].seen.dim[0] = j->n_rows;
    }
    return KATA_OK;
}

static kata_status read_columns(job *j) {
    kata__json_token token;
    KATA__TRY(kata__json_expect(&j->json, KATA__JSON_OBJECT_BEGIN,
                                "an object of the inputs by name", &token));
    KATA__TRY(read_inputs(j, -1));
    for (int i = 0; i < j->n_inputs; i++) {
        const column *c = &j->columns[i];
        if (c->seen.dim[0] < 0 || c->seen.dim[0] > KATA__INSTANCES_MOST) {
            return kata_fail(KATA_SHAPE, "input %.80s is not a list of at most %d samples", c->name,
                             KATA__INSTANCES_MOST);
        }
        if (c->seen.dim[0] != j->columns[0].seen.dim[0]) {
            return kata_fail(
                KATA_SHAPE, "input %.80s has %" PRId64 " samples beside %" PRId64 " of %.80s",
                c->name, c->seen.dim[0], j->columns[0].seen.dim[0], j->columns[0].name);
        }
    }
    j->n_rows = j->columns[0].seen.dim[0];
    return KATA_OK;
}

static kata_status read_body(job *j) {
    kata__json_token token;
    bool found = false;
    KATA__TRY(kata__json_expect(&j->json, KATA__JSON_OBJECT_BEGIN,
                                "an object {\"instances\": [...]}", &token));
    for (;;) {
        KATA__TRY(kata__json_next(&j->json, &token));
        if (token.kind == KATA__JSON_OBJECT_END) {
            break;
        }
        const bool rows = strcmp(token.text, "instances") == 0;
        if (strcmp(token.text, "signature_name") == 0) {
            KATA__TRY(kata__json_expect(&j->json, KATA__JSON_STRING, "a text", &token));
        } else if ((rows || strcmp(token.text, "inputs") == 0) && !found) {
            found = true;
            KATA__TRY(rows ? read_rows(j) : read_columns(j));
        } else {
            return kata_fail(KATA_FORMAT,
                             "the key \"%.80s\" is not known or there twice; expected one of "
                             "\"instances\" and \"inputs\"",
                             token.text);
        }
    }
    KATA__TRY(kata__json_expect(&j->json, KATA__JSON_END, "nothing after the object", &token));
    return found ? KATA_OK : kata_fail(KATA_FORMAT, "the key \"instances\" is missing");
}

/* The shape of what was read; a sample that is flat, or nested otherwise, has the model's sizes if
 * it has as many elements. */
static kata_status shape_of(const job *j, const column *c, kata_shape *out) {
    kata_shape seen = c->seen, wanted = c->wanted;
    char want[KATA_SHAPE_TEXT_SIZE], got[KATA_SHAPE_TEXT_SIZE];
    int64_t width = 1;
    bool fits = wanted.rank > 0, fixed = true;
    seen.rank = c->rank >= 0 ? c->rank : 1;
    while (c->rank < 0 && seen.rank < KATA_MAX_RANK && seen.dim[seen.rank] >= 0) {
        seen.rank++;
    }
    fits = fits && seen.rank == wanted.rank;
    for (int i = 1; i < wanted.rank; i++) {
        fits = fits && (wanted.dim[i] < 0 || wanted.dim[i] == seen.dim[i]);
        fixed = fixed && wanted.dim[i] >= 0;
        width *= fixed ? wanted.dim[i] : 1;
    }
    *out = seen;
    if (!fits && fixed && wanted.rank > 0 && c->n == width * j->n_rows) {
        *out = wanted;
        out->dim[0] = j->n_rows;
        fits = true;
    }
    return fits ? KATA_OK
                : kata_fail(KATA_SHAPE, "input %.80s has the shape %s, got %s", c->name,
                            kata_shape_text(&wanted, want), kata_shape_text(&seen, got));
}

/* --- answers -----------------------------------------------------------------------------------
 */

static void write_element(const job *j, kata__buffer *out, const kata_tensor *t, int64_t i) {
    if (t->dtype == KATA_STRING) {
        const kata_string text = ((const kata_string *)t->data)[i];
        kata__buffer copy;
        kata__buffer_init(&copy, j->context, out->maximum);
        kata__buffer_append(&copy, text.data, (size_t)text.n_bytes);
        if (copy.status != KATA_OK) {
            out->status = copy.status;
        }
        kata__buffer_json_string(out, copy.data != NULL ? copy.data : "");
        kata__buffer_free(&copy);
    } else if (t->dtype == KATA_BOOL) {
        kata__buffer_text(out, kata_load(t->dtype, t->data, i) != 0 ? "true" : "false");
    } else if (t->dtype == KATA_I64) {
        kata__buffer_printf(out, "%" PRId64, ((const int64_t *)t->data)[i]);
    } else if (t->dtype == KATA_U64) {
        kata__buffer_printf(out, "%" PRIu64, ((const uint64_t *)t->data)[i]);
    } else if (t->dtype == KATA_F32) {
        kata__buffer_json_float(out, ((const float *)t->data)[i]);
    } else {
        kata__buffer_json_number(out, kata_load(t->dtype, t->data, i));
    }
}

static void write_value(const job *j, kata__buffer *out, const kata_tensor *t, int axis,
                        int64_t *at) {
    if (axis == t->shape.rank) {
        write_element(j, out, t, (*at)++);
        return;
    }
    kata__buffer_text(out, "[");
    for (int64_t i = 0; i < t->shape.dim[axis] && out->status == KATA_OK; i++) {
        kata__buffer_text(out, i > 0 ? "," : "");
        write_value(j, out, t, axis + 1, at);
    }
    kata__buffer_text(out, "]");
}

static kata_status write_rows(const job *j, kata__buffer *out) {
    for (int k = 0; k < j->n_outputs && j->n_rows > 0; k++) {
        const kata_tensor *t = &j->outputs[k].tensor;
        char text[KATA_SHAPE_TEXT_SIZE];
        if (t->shape.rank < 1 || t->shape.dim[0] != j->n_rows) {
            return kata_fail(KATA_SHAPE,
                             "output %.80s has the shape %s, which is not a row for each of the "
                             "%" PRId64 " samples",
                             j->outputs[k].name, kata_shape_text(&t->shape, text), j->n_rows);
        }
    }
    kata__buffer_text(out, "{\"predictions\":[");
    for (int64_t i = 0; i < j->n_rows; i++) {
        kata__buffer_text(out, i > 0 ? "," : "");
        for (int k = 0; k < j->n_outputs; k++) {
            const kata_tensor *t = &j->outputs[k].tensor;
            int64_t at = kata_tensor_count(t) / j->n_rows * i;
            if (j->n_outputs > 1) {
                kata__buffer_text(out, k > 0 ? "," : "{");
                kata__buffer_json_string(out, j->outputs[k].name);
                kata__buffer_text(out, ":");
            }
            write_value(j, out, t, 1, &at);
        }
        kata__buffer_text(out, j->n_outputs > 1 ? "}" : "");
    }
    kata__buffer_text(out, "]}\n");
    return out->status;
}

static kata_status answer(job *j, kata_predictor *predictor, kata__buffer *out) {
    KATA__TRY(read_body(j));
    for (int i = 0; i < j->n_inputs && j->n_rows > 0; i++) {
        kata_shape shape;
        KATA__TRY(shape_of(j, &j->columns[i], &shape));
        j->inputs[i].name = j->columns[i].name;
        j->inputs[i].tensor = kata_tensor_view(j->columns[i].data, j->columns[i].dtype, &shape);
    }
    if (j->n_rows > 0) {
        KATA__TRY(kata_predictor_run(predictor, j->inputs, j->n_inputs, j->outputs, j->n_outputs));
    }
    return write_rows(j, out);
}

int kata__n_answers(const kata_graph *graph) {
    const int n = kata_graph_n_outputs(graph);
    const char *text = kata_graph_metadata(graph, "kata.outputs");
    const int n_trained = text != NULL ? atoi(text) : 0;
    return n_trained > 0 && n_trained < n ? n_trained : n;
}

kata_status kata__answer_named(kata_predictor *predictor, const kata_graph *graph, char *body,
                               size_t n_bytes, kata__buffer *out) {
    kata_context *context = out->context;
    job j = {.context = context,
             .n_inputs = kata_graph_n_inputs(graph),
             .n_outputs = kata__n_answers(graph)};
    j.columns = kata__alloc_zero(context, (size_t)j.n_inputs, sizeof *j.columns);
    j.inputs = kata__alloc_zero(context, (size_t)j.n_inputs, sizeof *j.inputs);
    j.outputs = kata__alloc_zero(context, (size_t)j.n_outputs, sizeof *j.outputs);
    kata_status status = KATA_OUT_OF_MEMORY;
    if (j.columns != NULL && j.inputs != NULL && j.outputs != NULL) {
        for (int i = 0; i < j.n_inputs; i++) {
            const kata_value value = kata_graph_input_at(graph, i);
            column *c = &j.columns[i];
            *c = (column){.name = kata_value_name(graph, value),
                          .dtype = kata_value_dtype(graph, value),
                          .wanted = kata_value_shape(graph, value),
                          .rank = -1,
                          .row = -2};
            for (int axis = 0; axis < KATA_MAX_RANK; axis++) {
                c->seen.dim[axis] = -1;
            }
        }
        for (int k = 0; k < j.n_outputs; k++) {
            j.outputs[k].name = kata_value_name(graph, kata_graph_output_at(graph, k));
        }
        kata__json_init(&j.json, body, n_bytes);
        status = answer(&j, predictor, out);
    }
    for (int i = 0; j.columns != NULL && i < j.n_inputs; i++) {
        kata__free(context, j.columns[i].data);
    }
    for (int k = 0; j.outputs != NULL && k < j.n_outputs; k++) {
        kata_tensor_release(&j.outputs[k].tensor);
    }
    kata__free(context, j.columns);
    kata__free(context, j.inputs);
    kata__free(context, j.outputs);
    return status;
}
