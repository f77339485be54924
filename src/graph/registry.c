/* Operator rows by name: the library's own table and the rows registered with a context. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/context.h"
#include "graph/graph.h"

int kata_op_count(void) {
    int n = 0;
    while (kata__standard_rows[n] != NULL) {
        n++;
    }
    return n;
}

const kata_op *kata_op_at(int i) {
    return i >= 0 && i < kata_op_count() ? kata__standard_rows[i] : NULL;
}

/* "Conv" has domain "" (ai.onnx), "kata:Assign" has domain "kata". */
static bool row_is_named(const kata_op *row, const char *name) {
    const char *colon = strchr(name, ':');
    size_t n_domain = colon != NULL ? (size_t)(colon - name) : 0;
    const char *domain = row->domain != NULL ? row->domain : "";
    return strlen(domain) == n_domain && strncmp(domain, name, n_domain) == 0 &&
           strcmp(row->name, colon != NULL ? colon + 1 : name) == 0;
}

const kata_op *kata_op_find(const kata_context *context, const char *name) {
    for (int i = 0; kata__standard_rows[i] != NULL; i++) {
        if (row_is_named(kata__standard_rows[i], name)) {
            return kata__standard_rows[i];
        }
    }
    for (int i = 0; context != NULL && i < context->n_registered_operators; i++) {
        const kata_op *row = context->registered_operators[i];
        if (row_is_named(row, name)) {
            return row;
        }
    }
    return NULL;
}

/* --- is a row in order? ----------------------------------------------------------------------- */

#define ALL_FLAGS                                                                                  \
    ((uint32_t)(KATA_OP_ELEMENTWISE | KATA_OP_VIEW | KATA_OP_RANDOM | KATA_OP_UPDATE |             \
                KATA_OP_INTERNAL | KATA_OP_TYPE_ONLY | KATA_OP_IDENTITY | KATA_OP_MOVE |           \
                KATA_OP_SCALES | KATA_OP_DYNAMIC | KATA_OP_ANY_KIND | KATA_OP_MAKES_STRINGS))

/* Printable, without blanks, and without the colon that parts a domain from a name. */
static bool is_word(const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c <= ' ' || *c > '~' || *c == ':') {
            return false;
        }
    }
    return true;
}

static bool is_name(const char *text) {
    return text[0] != '\0' && strlen(text) < 128 && is_word(text);
}

static kata_status check_counts(const kata_op *row) {
    if (row->min_inputs < 0 || row->min_inputs > row->max_inputs ||
        row->max_inputs > KATA_MAX_INPUTS) {
        return kata_fail(KATA_INVALID, "%d to %d inputs, expected at most %d", row->min_inputs,
                         row->max_inputs, KATA_MAX_INPUTS);
    }
    if (row->min_outputs < 1 || row->min_outputs > row->max_outputs ||
        row->max_outputs > KATA_MAX_OUTPUTS) {
        return kata_fail(KATA_INVALID, "%d to %d outputs, expected 1 to %d", row->min_outputs,
                         row->max_outputs, KATA_MAX_OUTPUTS);
    }
    const struct {
        const char *name;
        uint64_t bits;
    } sets[] = {{"in_place", row->in_place},
                {"state_inputs", row->state_inputs},
                {"constant_inputs", row->constant_inputs}};
    for (size_t i = 0; i < KATA__COUNT(sets); i++) {
        if (row->max_inputs < 64 && sets[i].bits >> row->max_inputs != 0) {
            return kata_fail(KATA_INVALID, "%s has a bit for an input beyond the %d that it takes",
                             sets[i].name, row->max_inputs);
        }
    }
    if ((row->state_inputs & row->constant_inputs) != 0) {
        return kata_fail(KATA_INVALID, "an input is both in state_inputs and in constant_inputs");
    }
    return KATA_OK;
}

static kata_status check_functions(const kata_op *row) {
    if (row->infer == NULL) {
        return kata_fail(KATA_INVALID, "it has no shape rule (infer)");
    }
    if (row->reference == NULL && (row->flags & KATA_OP_VIEW) == 0) {
        return kata_fail(KATA_INVALID, "it has no reference kernel");
    }
    if ((row->prepare == NULL) != (row->free == NULL)) {
        return kata_fail(KATA_INVALID, "it has one of prepare and free; they go together");
    }
    if (!(row->tolerance >= 0 && row->tolerance <= 1)) {
        return kata_fail(KATA_INVALID, "its tolerance is %g, expected 0 to 1", row->tolerance);
    }
    return KATA_OK;
}

static kata_status check_flags(const kata_op *row) {
    const uint32_t alone = row->flags & (KATA_OP_VIEW | KATA_OP_RANDOM | KATA_OP_UPDATE);
    if ((row->flags & ~ALL_FLAGS) != 0) {
        return kata_fail(KATA_INVALID, "it has the flags 0x%x, of which 0x%x are not known",
                         (unsigned)row->flags, (unsigned)(row->flags & ~ALL_FLAGS));
    }
    if ((alone & (alone - 1)) != 0) {
        return kata_fail(KATA_INVALID,
                         "KATA_OP_VIEW, KATA_OP_RANDOM and KATA_OP_UPDATE exclude each other");
    }
    if ((row->flags & (KATA_OP_VIEW | KATA_OP_IDENTITY | KATA_OP_MOVE)) != 0 &&
        (row->min_inputs < 1 || row->max_outputs > 1)) {
        return kata_fail(KATA_INVALID, "a view, identity or move has an input and one output");
    }
    if ((row->flags & KATA_OP_UPDATE) != 0 && row->max_outputs > row->min_inputs) {
        return kata_fail(KATA_INVALID,
                         "output k of an update is input k, but it has %d outputs and %d inputs",
                         row->max_outputs, row->min_inputs);
    }
    return KATA_OK;
}

static kata_status check_attribute(const kata_op *row, int k) {
    const kata_attribute_spec *spec = &row->attributes[k];
    const bool is_int = spec->type == KATA_ATTRIBUTE_INT || spec->type == KATA_ATTRIBUTE_INTS;
    const bool has_default =
        spec->default_int != 0 || spec->default_float != 0 || spec->default_string != NULL;
    const double number = spec->default_float;
    if (!is_name(spec->name)) {
        return kata_fail(KATA_INVALID,
                         "the name of attribute %d is empty, too long or has a "
                         "blank, colon or control character",
                         k);
    }
    if (kata__op_attribute(row, spec->name) != k) {
        return kata_fail(KATA_INVALID, "it has the attribute %s twice", spec->name);
    }
    if (kata__attribute_type_name(spec->type) == NULL) {
        return kata_fail(KATA_INVALID, "attribute %s is of a kind that is not known (%d)",
                         spec->name, (int)spec->type);
    }
    if ((spec->default_int != 0 && !is_int) ||
        (number != 0 && spec->type != KATA_ATTRIBUTE_FLOAT) ||
        (spec->default_string != NULL && spec->type != KATA_ATTRIBUTE_STRING)) {
        return kata_fail(KATA_INVALID, "attribute %s is %s, but has a default of another kind",
                         spec->name, kata__attribute_type_name(spec->type));
    }
    if (number != number ||
        ((row->flags & KATA_OP_INTERNAL) == 0 && (number > 3.4e38 || number < -3.4e38))) {
        return kata_fail(KATA_INVALID,
                         "attribute %s has the default %g, which is no float32 number", spec->name,
                         number);
    }
    if (spec->required && has_default) {
        return kata_fail(KATA_INVALID, "attribute %s is required and has a default", spec->name);
    }
    return KATA_OK;
}

static kata_status check_attributes(const kata_op *row) {
    for (int k = 0; row->attributes != NULL && row->attributes[k].name != NULL; k++) {
        if (k == KATA_MAX_ATTRIBUTES) {
            return kata_fail(KATA_LIMIT, "it has more than %d attributes", KATA_MAX_ATTRIBUTES);
        }
        KATA__TRY(check_attribute(row, k));
    }
    return KATA_OK;
}

static kata_status check_changes(const kata_op *row) {
    for (int k = 0; row->changes != NULL && row->changes[k].kind != KATA_CHANGE_END; k++) {
        const kata_op_change *c = &row->changes[k];
        const bool is_here = c->attribute != NULL && kata__op_attribute(row, c->attribute) >= 0;
        if (k == KATA_MAX_ATTRIBUTES || (c->opset < 2 && c->kind != KATA_ATTRIBUTE_IGNORED)) {
            return kata_fail(KATA_INVALID,
                             "change %d: expected at most %d, each of operator set 2 or later", k,
                             KATA_MAX_ATTRIBUTES);
        }
        bool fits = false;
        switch (c->kind) {
        case KATA_ATTRIBUTE_ADDED:
            fits = is_here;
            break;
        case KATA_ATTRIBUTE_IGNORED:
            fits = c->attribute != NULL && !is_here;
            break;
        case KATA_ATTRIBUTE_TO_INPUT:
            fits = c->attribute != NULL && c->input >= 0 && c->input < row->max_inputs &&
                   (!is_here || row->attributes[kata__op_attribute(row, c->attribute)].type ==
                                    KATA_ATTRIBUTE_INTS);
            break;
        case KATA_INPUT_ADDED:
            fits = c->input >= row->min_inputs && c->input < row->max_inputs;
            break;
        case KATA_STRINGS_ADDED:
            fits = c->input >= 0 && c->input < row->min_inputs;
            break;
        case KATA_OUTPUTS_COUNTED:
            fits = is_here && c->input >= 0 && c->input < row->max_inputs;
            break;
        default:
            break;
        }
        if (!fits) {
            return kata_fail(KATA_INVALID,
                             "change %d (attribute %s, input %d) does not fit its attributes and "
                             "inputs",
                             k, c->attribute != NULL ? c->attribute : "(none)", c->input);
        }
    }
    return KATA_OK;
}

static kata_status check_row(const kata_op *row) {
    if (!is_word(row->domain) || strlen(row->domain) >= 128 ||
        strcmp(row->domain, "ai.onnx") == 0) {
        return kata_fail(KATA_INVALID,
                         "its domain is \"%.128s\"; expected up to 127 printable characters "
                         "without blank or colon, and \"\" for ai.onnx",
                         row->domain);
    }
    if (row->since < 1) {
        return kata_fail(KATA_INVALID, "since is %d, expected the first operator set, 1 or more",
                         row->since);
    }
    KATA__TRY(check_counts(row));
    KATA__TRY(check_functions(row));
    KATA__TRY(check_flags(row));
    KATA__TRY(check_attributes(row));
    return check_changes(row);
}

static kata_status check_name(const kata_op *row) {
    return row->name != NULL && is_name(row->name)
               ? KATA_OK
               : kata_fail(KATA_INVALID,
                           "an operator row needs a name of up to 127 printable characters "
                           "without blank or colon, got \"%.128s\"",
                           row->name != NULL ? row->name : "");
}

kata_status kata__op_check(const kata_op *row) {
    KATA__TRY(check_name(row));
    kata_status status = check_row(row);
    return status == KATA_OK ? KATA_OK : kata_fail_in(status, "operator row %s", row->name);
}

/* --- registering ------------------------------------------------------------------------------ */

/* Copies what the caller's header knows of a struct; the rest is 0. What only a newer header than
 * the library's knows must be 0. */
static kata_status copy_struct(void *to, size_t size, const void *from, size_t from_size,
                               size_t least, const char *what) {
    bool is_new = false;
    for (size_t i = size; i < from_size; i++) {
        is_new = is_new || ((const char *)from)[i] != 0;
    }
    if (from_size < least || is_new) {
        return kata_fail(
            is_new ? KATA_UNSUPPORTED : KATA_INVALID,
            "an operator's %s is of %zu bytes, where the library has %zu: %s", what, from_size,
            size, is_new ? "the program was made for a newer libkata" : "use kata_op_register");
    }
    memset(to, 0, size);
    memcpy(to, from, from_size < size ? from_size : size);
    return KATA_OK;
}

/* The caller's lists, read with the size that its header gives their elements; `list` has room for
 * KATA_MAX_ATTRIBUTES and a zeroed end. */
static kata_status read_attributes(kata_attribute_spec *list, const kata_op *row, size_t size) {
    const char *from = (const char *)row->attributes;
    for (int n = 0; from != NULL; n++) {
        KATA__TRY(copy_struct(&list[n], sizeof *list, from + (size_t)n * size, size,
                              offsetof(kata_attribute_spec, doc) + sizeof list->doc, "attribute"));
        if (list[n].name == NULL && list[n].type != KATA_ATTRIBUTE_END) {
            return kata_fail(KATA_INVALID, "operator row %.127s: attribute %d has no name",
                             row->name, n);
        }
        if (list[n].name == NULL) {
            return KATA_OK;
        }
        if (n == KATA_MAX_ATTRIBUTES) {
            return kata_fail(KATA_LIMIT, "operator row %.127s has more than %d attributes",
                             row->name, KATA_MAX_ATTRIBUTES);
        }
    }
    return KATA_OK;
}

static kata_status read_changes(kata_op_change *list, const kata_op *row, size_t size) {
    const char *from = (const char *)row->changes;
    for (int n = 0; from != NULL; n++) {
        KATA__TRY(copy_struct(&list[n], sizeof *list, from + (size_t)n * size, size,
                              offsetof(kata_op_change, input) + sizeof list->input, "change"));
        if (list[n].kind == KATA_CHANGE_END) {
            return KATA_OK;
        }
        if (n == KATA_MAX_ATTRIBUTES) {
            return kata_fail(KATA_LIMIT, "operator row %.127s has more than %d changes", row->name,
                             KATA_MAX_ATTRIBUTES);
        }
    }
    return KATA_OK;
}

/* A row with all that it points to in one block; without one, how large that has to be. */
typedef struct block {
    char *at;
    size_t n_bytes;
} block;

static void *keep(block *b, const void *from, size_t n_bytes) {
    void *to = b->at != NULL ? b->at + b->n_bytes : NULL;
    b->n_bytes += (n_bytes + 15) / 16 * 16;
    return to != NULL ? memcpy(to, from, n_bytes) : NULL;
}

static const char *keep_text(block *b, const char *text) {
    return text != NULL ? keep(b, text, strlen(text) + 1) : NULL;
}

static kata_op *keep_row(block *b, const kata_op *row) {
    int n = 0, m = 0;
    while (row->attributes != NULL && row->attributes[n].name != NULL) {
        n++;
    }
    while (row->changes != NULL && row->changes[m].kind != KATA_CHANGE_END) {
        m++;
    }
    kata_op copy = *row;
    kata_op *to = keep(b, row, sizeof *row);
    copy.name = keep_text(b, row->name);
    copy.domain = keep_text(b, row->domain);
    copy.doc = keep_text(b, row->doc);
    kata_attribute_spec *specs =
        n > 0 ? keep(b, row->attributes, (size_t)(n + 1) * sizeof *specs) : NULL;
    kata_op_change *changes =
        m > 0 ? keep(b, row->changes, (size_t)(m + 1) * sizeof *changes) : NULL;
    for (int i = 0; i < n; i++) {
        kata_attribute_spec spec = row->attributes[i];
        spec.name = keep_text(b, spec.name);
        spec.default_string = keep_text(b, spec.default_string);
        spec.doc = keep_text(b, spec.doc);
        if (specs != NULL) {
            specs[i] = spec;
        }
    }
    for (int i = 0; i < m; i++) {
        const char *attribute = keep_text(b, row->changes[i].attribute);
        if (changes != NULL) {
            changes[i].attribute = attribute;
        }
    }
    copy.attributes = specs;
    copy.changes = changes;
    if (to != NULL) {
        *to = copy;
    }
    return to;
}

static kata_status add_row(kata_context *context, const kata_op *row) {
    size_t n = (size_t)context->n_registered_operators;
    block b = {.at = NULL};
    (void)keep_row(&b, row);
    const void **rows = kata__alloc(context, n + 1, sizeof *rows);
    b.at = rows != NULL ? kata__alloc_zero(context, b.n_bytes, 1) : NULL;
    if (b.at == NULL) {
        kata__free(context, (void *)rows);
        return KATA_OUT_OF_MEMORY;
    }
    if (n > 0) {
        memcpy(rows, context->registered_operators, n * sizeof *rows);
    }
    b.n_bytes = 0;
    rows[n] = keep_row(&b, row);
    kata__free(context, (void *)context->registered_operators);
    context->registered_operators = rows;
    context->n_registered_operators++;
    return KATA_OK;
}

kata_status kata_op_register_sized(kata_context *context, const kata_op *row, size_t row_bytes,
                                   size_t attribute_bytes, size_t change_bytes) {
    if (context == NULL || row == NULL) {
        return kata_fail(KATA_INVALID, "registering an operator needs a context and a row");
    }
    kata_op copy;
    kata_attribute_spec attributes[KATA_MAX_ATTRIBUTES + 1] = {{0}};
    kata_op_change changes[KATA_MAX_ATTRIBUTES + 1] = {{0}};
    KATA__TRY(copy_struct(&copy, sizeof copy, row, row_bytes,
                          offsetof(kata_op, doc) + sizeof copy.doc, "row"));
    KATA__TRY(check_name(&copy));
    KATA__TRY(read_attributes(attributes, &copy, attribute_bytes));
    KATA__TRY(read_changes(changes, &copy, change_bytes));
    copy.domain = copy.domain != NULL ? copy.domain : "";
    copy.attributes = attributes;
    copy.changes = changes;
    KATA__TRY(kata__op_check(&copy));
    char name[256];
    snprintf(name, sizeof name, "%s%s%s", copy.domain, copy.domain[0] != '\0' ? ":" : "",
             copy.name);
    if (kata_op_find(context, name) != NULL) {
        return kata_fail(KATA_INVALID, "operator %s exists already", name);
    }
    return add_row(context, &copy);
}

/* --- state of a call -------------------------------------------------------------------------- */

kata_status kata__call_prepare(kata_call *call) {
    call->state = NULL;
    return call->op->prepare != NULL ? call->op->prepare(call, &call->state) : KATA_OK;
}

void kata__call_release(kata_call *call) {
    if (call->op != NULL && call->op->free != NULL && call->state != NULL) {
        call->op->free(call->context, call->state);
    }
    call->state = NULL;
}

int kata__op_attribute(const kata_op *op, const char *name) {
    for (int i = 0; op->attributes != NULL && op->attributes[i].name != NULL; i++) {
        if (strcmp(op->attributes[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}
