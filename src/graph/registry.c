/* Operator rows by name: the library's own table and the rows registered with a context. */
#include <stdio.h>
#include <string.h>

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

kata_status kata_op_register(kata_context *context, const kata_op *row) {
    if (row == NULL || row->name == NULL || row->infer == NULL || row->reference == NULL ||
        row->max_inputs > KATA_MAX_INPUTS || row->max_outputs > KATA_MAX_OUTPUTS ||
        row->min_outputs < 1) {
        return kata_fail(KATA_INVALID,
                         "operator row %s needs a name, a shape rule, a reference "
                         "kernel and 1 to %d outputs",
                         row != NULL && row->name != NULL ? row->name : "(no name)",
                         KATA_MAX_OUTPUTS);
    }
    char name[256];
    const char *domain = row->domain != NULL ? row->domain : "";
    int length =
        snprintf(name, sizeof name, "%s%s%s", domain, domain[0] != '\0' ? ":" : "", row->name);
    if (length < 0 || (size_t)length >= sizeof name) {
        return kata_fail(KATA_INVALID, "operator name is longer than %zu bytes", sizeof name - 1);
    }
    if (kata_op_find(context, name) != NULL) {
        return kata_fail(KATA_INVALID, "operator %s exists already", name);
    }
    size_t n = (size_t)context->n_registered_operators;
    const void **rows = kata__alloc(context, n + 1, sizeof *rows);
    if (rows == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (n > 0) {
        memcpy(rows, context->registered_operators, n * sizeof *rows);
    }
    rows[n] = row;
    kata__free(context, context->registered_operators);
    context->registered_operators = rows;
    context->n_registered_operators++;
    return KATA_OK;
}

int kata__op_attribute(const kata_op *op, const char *name) {
    for (int i = 0; op->attributes != NULL && op->attributes[i].name != NULL; i++) {
        if (strcmp(op->attributes[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}
