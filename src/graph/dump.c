/* A graph as text for people, and as Graphviz. */
#include <string.h>

#include "base/buffer.h"
#include "base/check.h"
#include "graph/graph.h"

#define DUMP_MAXIMUM ((size_t)256 << 20)

static void write_value(kata__buffer *out, const kata_graph *graph, kata_value value) {
    const kata__value_info *info = kata__graph_info(graph, value);
    char shape[KATA_SHAPE_TEXT_SIZE];
    if (info == NULL) {
        kata__buffer_text(out, "-");
        return;
    }
    kata__buffer_printf(out, "%s %s%s", info->name, kata_dtype_name(info->type.dtype),
                        kata_shape_text(&info->type.shape, shape));
}

static void write_attributes(kata__buffer *out, const kata__node *node) {
    for (int i = 0; node->op->attributes != NULL && node->op->attributes[i].name != NULL; i++) {
        const kata_attribute_spec *spec = &node->op->attributes[i];
        const kata_attribute_value *value = &node->attributes[i];
        if (!value->is_set) {
            continue;
        }
        kata__buffer_printf(out, " %s=", spec->name);
        switch (spec->type) {
        case KATA_ATTRIBUTE_INT:
            kata__buffer_printf(out, "%lld", (long long)value->i);
            break;
        case KATA_ATTRIBUTE_FLOAT:
            kata__buffer_printf(out, "%g", value->f);
            break;
        case KATA_ATTRIBUTE_STRING:
            kata__buffer_text(out, value->s != NULL ? value->s : "");
            break;
        case KATA_ATTRIBUTE_INTS:
            for (int k = 0; k < value->n; k++) {
                kata__buffer_printf(out, "%s%lld", k > 0 ? "," : "", (long long)value->ints[k]);
            }
            break;
        case KATA_ATTRIBUTE_FLOATS:
            for (int k = 0; k < value->n; k++) {
                kata__buffer_printf(out, "%s%g", k > 0 ? "," : "", value->floats[k]);
            }
            break;
        default:
            kata__buffer_text(out, "(tensor)");
            break;
        }
    }
}

static kata_status finish(kata__buffer *out, char **text) {
    if (out->status != KATA_OK) {
        kata_status status = out->status;
        kata__buffer_free(out);
        return status;
    }
    *text = out->data;
    return KATA_OK;
}

kata_status kata_graph_text(char **text, const kata_graph *graph) {
    kata__buffer out;
    kata__buffer_init(&out, graph->context, DUMP_MAXIMUM);
    kata__buffer_printf(&out, "graph %s\n", graph->name);
    for (size_t i = 0; i < graph->n_inputs; i++) {
        kata__buffer_text(&out, "  input    ");
        write_value(&out, graph, graph->inputs[i]);
        kata__buffer_text(&out, "\n");
    }
    for (size_t i = 1; i < graph->n_values; i++) {
        if (graph->values[i].kind == KATA__VALUE_VARIABLE) {
            kata__buffer_text(&out, "  variable ");
            write_value(&out, graph, (kata_value){(int32_t)i});
            kata__buffer_text(&out, graph->values[i].variable->trainable ? "\n" : " (state)\n");
        }
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        kata__buffer_text(&out, "  ");
        for (int k = 0; k < node->n_outputs; k++) {
            kata__buffer_text(&out, k > 0 ? ", " : "");
            write_value(&out, graph, node->outputs[k]);
        }
        kata__buffer_printf(&out, " = %s(", node->op->name);
        for (int k = 0; k < node->n_inputs; k++) {
            kata__buffer_printf(&out, "%s%s", k > 0 ? ", " : "",
                                node->inputs[k].id != 0 ? kata_value_name(graph, node->inputs[k])
                                                        : "-");
        }
        kata__buffer_text(&out, ")");
        write_attributes(&out, node);
        kata__buffer_text(&out, "\n");
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        kata__buffer_text(&out, "  output   ");
        write_value(&out, graph, graph->outputs[i]);
        kata__buffer_text(&out, "\n");
    }
    return finish(&out, text);
}

/* A Graphviz text within double quotes. */
static void write_quoted(kata__buffer *out, const char *text) {
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            kata__buffer_text(out, "\\");
        }
        kata__buffer_append(out, text, 1);
    }
}

static void write_dot_value(kata__buffer *out, const kata_graph *graph, kata_value value,
                            const char *style) {
    char shape[KATA_SHAPE_TEXT_SIZE];
    const kata__value_info *info = kata__graph_info(graph, value);
    kata__buffer_printf(out, "  v%d [label=\"", (int)value.id);
    write_quoted(out, info->name);
    kata__buffer_printf(out, "\\n%s\" %s];\n", kata_shape_text(&info->type.shape, shape), style);
}

kata_status kata_graph_dot(char **text, const kata_graph *graph) {
    kata__buffer out;
    kata__buffer_init(&out, graph->context, DUMP_MAXIMUM);
    kata__buffer_text(&out, "digraph \"");
    write_quoted(&out, graph->name);
    kata__buffer_text(&out, "\" {\n  node [fontname=\"sans-serif\" fontsize=10];\n");
    for (size_t i = 1; i < graph->n_values; i++) {
        kata__value_kind kind = graph->values[i].kind;
        if (kind != KATA__VALUE_NODE) {
            write_dot_value(
                &out, graph, (kata_value){(int32_t)i},
                kind == KATA__VALUE_INPUT      ? "shape=ellipse style=filled fillcolor=\"#dbeafe\""
                : kind == KATA__VALUE_VARIABLE ? "shape=ellipse style=filled fillcolor=\"#fef3c7\""
                                               : "shape=plaintext");
        }
    }
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        kata__buffer_printf(&out, "  n%zu [shape=box label=\"%s\"];\n", i, node->op->name);
        for (int k = 0; k < node->n_inputs; k++) {
            const kata__value_info *info = kata__graph_info(graph, node->inputs[k]);
            if (info == NULL) {
                continue;
            }
            if (info->kind == KATA__VALUE_NODE) {
                char shape[KATA_SHAPE_TEXT_SIZE];
                kata__buffer_printf(&out, "  n%d -> n%zu [label=\"%s\" fontsize=8];\n",
                                    (int)info->node, i, kata_shape_text(&info->type.shape, shape));
            } else {
                kata__buffer_printf(&out, "  v%d -> n%zu;\n", (int)node->inputs[k].id, i);
            }
        }
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        const kata__value_info *info = kata__graph_info(graph, graph->outputs[i]);
        kata__buffer_printf(&out,
                            "  o%zu [shape=ellipse style=filled fillcolor=\"#dcfce7\" label=\"", i);
        write_quoted(&out, info->name);
        kata__buffer_text(&out, "\"];\n");
        if (info->kind == KATA__VALUE_NODE) {
            kata__buffer_printf(&out, "  n%d -> o%zu;\n", (int)info->node, i);
        } else {
            kata__buffer_printf(&out, "  v%d -> o%zu;\n", (int)graph->outputs[i].id, i);
        }
    }
    kata__buffer_text(&out, "}\n");
    return finish(&out, text);
}

void kata_text_free(kata_context *context, char *text) {
    kata__free(context, text);
}
