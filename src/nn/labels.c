/* The labels of a classifier: the metadata "kata.labels", a JSON array of texts. A model remembers
 * where each begins, so that label i is found at once however many there are. */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "base/memory.h"
#include "nn/model.h"

/* Moves over one JSON text of the array that kata_model_set_labels wrote; copies it to `text` if
 * that is not NULL. Returns the place behind it, NULL at the end or where the text is malformed. */
static const char *next_label(const char *at, char *text, size_t n_bytes) {
    size_t n = 0;
    while (*at == '[' || *at == ',' || *at == ' ') {
        at++;
    }
    if (*at++ != '"') {
        return NULL;
    }
    for (; *at != '"'; at++) {
        unsigned c = (unsigned char)*at;
        if (c == '\0') {
            return NULL;
        }
        if (c == '\\') {
            at++;
            c = (unsigned char)*at;
            if (c == 'u') { /* control characters only: others are written as they are */
                char digits[5] = {0};
                for (int i = 0; i < 4 && at[1 + i] != '\0'; i++) {
                    digits[i] = at[1 + i];
                }
                if (strlen(digits) != 4) {
                    return NULL;
                }
                c = (unsigned)strtoul(digits, NULL, 16) & 0x7F;
                at += 4;
            } else if (c == 'n' || c == 't' || c == 'r' || c == 'b' || c == 'f') {
                c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : '\f';
            } else if (c == '\0') {
                return NULL;
            }
        }
        if (text != NULL && n + 1 < n_bytes) {
            text[n++] = (char)c;
        }
    }
    if (text != NULL && n_bytes > 0) {
        text[n] = '\0';
    }
    return at + 1;
}

static const char *labels_text(const kata_model *model) {
    return kata_graph_metadata(model->graph, "kata.labels");
}

static bool is_indexed(const kata_model *model) {
    return model->label_offsets != NULL && model->labels_version == model->graph->metadata_version;
}

kata_status kata__model_index_labels(kata_model *model) {
    const char *text = labels_text(model), *at = text;
    size_t n = 0;
    kata__free(model->context, model->label_offsets);
    model->label_offsets = NULL;
    model->n_labels = 0;
    while (at != NULL && (at = next_label(at, NULL, 0)) != NULL) {
        n++;
    }
    if (n == 0) {
        return KATA_OK;
    }
    model->label_offsets = kata__alloc(model->context, n, sizeof *model->label_offsets);
    if (model->label_offsets == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    at = text;
    for (size_t i = 0; i < n; i++) {
        model->label_offsets[i] = (size_t)(at - text);
        at = next_label(at, NULL, 0);
    }
    model->n_labels = n;
    model->labels_version = model->graph->metadata_version;
    return KATA_OK;
}

kata_status kata_model_set_labels(kata_model *model, const char *const *labels, int n) {
    kata__buffer text;
    kata__buffer_init(&text, model->context, (size_t)64 << 20);
    kata__buffer_text(&text, "[");
    for (int i = 0; i < n; i++) {
        kata__buffer_text(&text, i > 0 ? "," : "");
        kata__buffer_json_string(&text, labels[i]);
    }
    kata__buffer_text(&text, "]");
    kata_status status = text.status;
    if (status == KATA_OK) {
        status = kata_graph_set_metadata(model->graph, "kata.labels", text.data);
    }
    kata__buffer_free(&text);
    return status == KATA_OK ? kata__model_index_labels(model) : status;
}

int kata_model_n_labels(const kata_model *model) {
    if (is_indexed(model)) {
        return (int)model->n_labels;
    }
    const char *at = labels_text(model);
    int n = 0;
    while (at != NULL && (at = next_label(at, NULL, 0)) != NULL) {
        n++;
    }
    return n;
}

bool kata_model_label(const kata_model *model, int i, char *text, size_t n_bytes) {
    const char *at = labels_text(model);
    if (at == NULL || i < 0) {
        return false;
    }
    if (is_indexed(model)) {
        return (size_t)i < model->n_labels &&
               next_label(at + model->label_offsets[i], text, n_bytes) != NULL;
    }
    for (int k = 0; at != NULL && k <= i; k++) { /* the metadata was changed by hand */
        at = next_label(at, k == i ? text : NULL, n_bytes);
    }
    return at != NULL;
}
