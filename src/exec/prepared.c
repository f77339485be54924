/* The store of prepared weights. The key of a value is a hash of the operator, the attributes and
 * the keys of the inputs: a variable is its address, a constant its bytes. Equal keys mean the same
 * numbers, computed in the same way. */
#include "exec/prepared.h"

#include <string.h>

#include "base/check.h"
#include "base/sha256.h"

struct kata__prepared {
    kata_context *context;
    const kata_graph *owner;
    pthread_mutex_t mutex; /* of the list */
    pthread_mutex_t making;
    kata__prepared_value *first;
};

typedef struct key {
    uint8_t bytes[32];
} key;

kata_status kata__prepared_new(kata__prepared **out, const kata_graph *owner) {
    kata__prepared *prepared = kata__alloc_zero(owner->context, 1, sizeof *prepared);
    if (prepared == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    prepared->context = owner->context;
    prepared->owner = owner;
    pthread_mutex_init(&prepared->mutex, NULL);
    pthread_mutex_init(&prepared->making, NULL);
    *out = prepared;
    return KATA_OK;
}

void kata__prepared_free(kata__prepared *prepared) {
    if (prepared == NULL) {
        return;
    }
    pthread_mutex_destroy(&prepared->mutex);
    pthread_mutex_destroy(&prepared->making);
    kata__free(prepared->context, prepared);
}

/* --- keys ------------------------------------------------------------------------------------- */

static void add_text(kata__sha256 *hash, const char *text) {
    const size_t n = text != NULL ? strlen(text) + 1 : 0;
    kata__sha256_add(hash, &n, sizeof n);
    kata__sha256_add(hash, text != NULL ? text : "", n);
}

static void add_type(kata__sha256 *hash, kata_dtype dtype, const kata_shape *shape) {
    const int64_t head[2] = {dtype, shape->rank};
    kata__sha256_add(hash, head, sizeof head);
    kata__sha256_add(hash, shape->dim, (size_t)shape->rank * sizeof shape->dim[0]);
}

static void add_tensor(kata__sha256 *hash, const kata_tensor *tensor) {
    add_type(hash, tensor->dtype, &tensor->shape);
    kata__sha256_add(hash, tensor->data, kata_tensor_bytes(tensor));
}

static void add_attributes(kata__sha256 *hash, const kata__node *node) {
    const kata_attribute_spec *list = node->op->attributes;
    for (int i = 0; list != NULL && list[i].name != NULL; i++) {
        const kata_attribute_value *value = &node->attributes[i];
        kata__sha256_add(hash, &value->is_set, sizeof value->is_set);
        kata__sha256_add(hash, &value->i, sizeof value->i);
        kata__sha256_add(hash, &value->f, sizeof value->f);
        kata__sha256_add(hash, &value->n, sizeof value->n);
        add_text(hash, value->s);
        if (value->ints != NULL) {
            kata__sha256_add(hash, value->ints, (size_t)value->n * sizeof value->ints[0]);
        }
        if (value->floats != NULL) {
            kata__sha256_add(hash, value->floats, (size_t)value->n * sizeof value->floats[0]);
        }
        for (int k = 0; value->strings != NULL && k < value->n; k++) {
            add_text(hash, value->strings[k]);
        }
        if (value->tensor != NULL) {
            add_tensor(hash, value->tensor);
        }
        kata__sha256_add(hash, &value->graph, sizeof value->graph);
    }
}

/* What a node of prepared values reads. */
static void add_input(kata__sha256 *hash, const kata_graph *graph, const kata__plan *plan,
                      const key *keys, kata_value input) {
    const kata__value_info *info = kata__graph_info(graph, input);
    if (info == NULL) {
        add_text(hash, "absent");
        return;
    }
    const int32_t root = plan->places[input.id].root;
    const kata__value_info *source = &graph->values[root];
    add_type(hash, info->type.dtype, &info->type.shape);
    if (source->kind == KATA__VALUE_VARIABLE) {
        add_text(hash, "variable");
        kata__sha256_add(hash, &source->variable, sizeof source->variable);
    } else if (source->kind == KATA__VALUE_CONSTANT) {
        add_text(hash, "constant");
        add_tensor(hash, &source->constant);
    } else {
        kata__sha256_add(hash, keys[root].bytes, sizeof keys[root].bytes);
    }
}

static void set_keys(const kata_graph *graph, const kata__plan *plan, key *keys) {
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (!kata__plan_prepares(plan, graph, node) || (node->op->flags & KATA_OP_VIEW) != 0) {
            continue;
        }
        for (int k = 0; k < node->n_outputs; k++) {
            const kata_type *type = &graph->values[node->outputs[k].id].type;
            kata__sha256 hash;
            kata__sha256_init(&hash);
            kata__sha256_add(&hash, &node->op, sizeof node->op);
            kata__sha256_add(&hash, &k, sizeof k);
            add_type(&hash, type->dtype, &type->shape);
            add_attributes(&hash, node);
            for (int j = 0; j < node->n_inputs; j++) {
                add_input(&hash, graph, plan, keys, node->inputs[j]);
            }
            kata__sha256_end(&hash, keys[node->outputs[k].id].bytes);
        }
    }
}

/* --- values ----------------------------------------------------------------------------------- */

static kata__prepared_value *find_or_make(kata__prepared *prepared, const key *wanted,
                                          size_t n_bytes) {
    kata__prepared_value *value = prepared->first;
    while (value != NULL && (value->n_bytes != n_bytes ||
                             memcmp(value->key, wanted->bytes, sizeof value->key) != 0)) {
        value = value->next;
    }
    if (value == NULL) {
        value = kata__alloc_zero(prepared->context, 1, sizeof *value);
        void *data = kata__alloc(prepared->context, n_bytes > 0 ? n_bytes : 1, 1);
        if (value == NULL || data == NULL) {
            kata__free(prepared->context, value);
            kata__free(prepared->context, data);
            return NULL;
        }
        value->of = prepared;
        memcpy(value->key, wanted->bytes, sizeof value->key);
        value->n_bytes = n_bytes;
        value->data = data;
        value->next = prepared->first;
        prepared->first = value;
    }
    value->n_holders++;
    return value;
}

kata_status kata__prepared_hold(kata__prepared *prepared, const kata_graph *graph,
                                const kata__plan *plan, kata__prepared_value **values) {
    key *keys = kata__alloc_zero(graph->context, graph->n_values, sizeof *keys);
    kata_status status = keys != NULL ? KATA_OK : KATA_OUT_OF_MEMORY;
    if (status == KATA_OK) {
        set_keys(graph, plan, keys);
    }
    pthread_mutex_lock(&prepared->mutex);
    for (size_t i = 1; i < graph->n_values && status == KATA_OK; i++) {
        const kata_type *type = &graph->values[i].type;
        if (plan->prepared[i] && plan->places[i].root == (int32_t)i) {
            const int64_t count = kata_shape_count(&type->shape);
            values[i] = find_or_make(
                prepared, &keys[i], (size_t)(count > 0 ? count : 0) * kata_dtype_size(type->dtype));
            status = values[i] != NULL ? KATA_OK : KATA_OUT_OF_MEMORY;
        }
    }
    pthread_mutex_unlock(&prepared->mutex);
    kata__free(graph->context, keys);
    return status;
}

void kata__prepared_drop(kata__prepared *prepared, kata__prepared_value **values, size_t n) {
    pthread_mutex_lock(&prepared->mutex);
    for (size_t i = 0; i < n; i++) {
        if (values[i] == NULL || --values[i]->n_holders > 0) {
            continue;
        }
        kata__prepared_value **at = &prepared->first;
        while (*at != values[i]) {
            at = &(*at)->next;
        }
        *at = values[i]->next;
        kata__free(prepared->context, values[i]->data);
        kata__free(prepared->context, values[i]);
    }
    pthread_mutex_unlock(&prepared->mutex);
}

uint64_t kata__prepared_version(const kata__prepared *prepared) {
    uint64_t version = 0;
    for (size_t i = 0; i < prepared->owner->n_variables; i++) {
        version += prepared->owner->variables[i]->version;
    }
    return version;
}

void kata__prepared_lock(kata__prepared *prepared) {
    pthread_mutex_lock(&prepared->making);
}

void kata__prepared_unlock(kata__prepared *prepared) {
    pthread_mutex_unlock(&prepared->making);
}

size_t kata__prepared_bytes(kata__prepared *prepared) {
    size_t n_bytes = 0;
    pthread_mutex_lock(&prepared->mutex);
    for (const kata__prepared_value *value = prepared->first; value != NULL; value = value->next) {
        n_bytes += value->n_bytes;
    }
    pthread_mutex_unlock(&prepared->mutex);
    return n_bytes;
}
