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
                        kata_graph_shape_text(graph, &info->type.shape, shape));
}

static void write_graph(kata__buffer *out, const kata_graph *graph, int indent);

static void write_attribute(kata__buffer *out, kata_attribute_type type,
                            const kata_attribute_value *value) {
    switch (type) {
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
    case KATA_ATTRIBUTE_STRINGS:
        for (int k = 0; k < value->n; k++) {
            kata__buffer_text(out, k > 0 ? "," : "");
            kata__buffer_json_string(out, value->strings[k]);
        }
        break;
    case KATA_ATTRIBUTE_GRAPH:
        kata__buffer_text(out, value->graph->name);
        break;
    default:
        kata__buffer_text(out, "(tensor)");
        break;
    }
}

/* Attributes in the node's line, its subgraphs below it. */
static void write_attributes(kata__buffer *out, const kata__node *node, int indent) {
    const kata_attribute_spec *specs = node->op->attributes;
    for (int i = 0; specs != NULL && specs[i].name != NULL; i++) {
        if (node->attributes[i].is_set) {
            kata__buffer_printf(out, " %s=", specs[i].name);
            write_attribute(out, specs[i].type, &node->attributes[i]);
        }
    }
    kata__buffer_text(out, "\n");
    for (int i = 0; node->has_subgraphs && specs[i].name != NULL; i++) {
        if (specs[i].type == KATA_ATTRIBUTE_GRAPH && node->attributes[i].graph != NULL) {
            kata__buffer_printf(out, "%*s%s: ", indent + 2, "", specs[i].name);
            write_graph(out, node->attributes[i].graph, indent + 2);
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

static void write_line(kata__buffer *out, const kata_graph *graph, int indent, const char *what,
                       kata_value value, const char *end) {
    kata__buffer_printf(out, "%*s%s", indent, "", what);
    write_value(out, graph, value);
    kata__buffer_text(out, end);
}

/* A captured value is shown with the name that it has in the graph around. */
static void write_captures(kata__buffer *out, const kata_graph *graph, int indent) {
    for (size_t i = 0; i < graph->n_captures; i++) {
        const kata__value_info *info = kata__graph_info(graph, graph->captures[i].inside);
        const char *outer = kata_value_name(graph->outer, kata__graph_captured(graph, info));
        write_line(out, graph, indent, "capture  ", graph->captures[i].inside, "");
        kata__buffer_printf(out, strcmp(outer, info->name) != 0 ? " of %s\n" : "\n", outer);
    }
}

static void write_graph(kata__buffer *out, const kata_graph *graph, int indent) {
    kata__buffer_printf(out, "graph %s\n", graph->name);
    indent += 2;
    for (size_t i = 0; i < graph->n_inputs; i++) {
        write_line(out, graph, indent, "input    ", graph->inputs[i], "\n");
    }
    write_captures(out, graph, indent);
    for (size_t i = 1; i < graph->n_values; i++) {
        if (graph->values[i].kind == KATA__VALUE_VARIABLE) {
            write_line(out, graph, indent, "variable ", (kata_value){(int32_t)i},
                       graph->values[i].variable->trainable ? "\n" : " (state)\n");
        }
    }
    for (size_t i = 0; i < graph->n_nodes && out->status == KATA_OK; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed) {
            continue;
        }
        for (int k = 0; k < node->n_outputs; k++) {
            write_line(out, graph, k > 0 ? 0 : indent, k > 0 ? ", " : "", node->outputs[k], "");
        }
        kata__buffer_printf(out, " = %s(", node->op->name);
        for (int k = 0; k < node->n_inputs - node->n_captured; k++) {
            kata__buffer_printf(out, "%s%s", k > 0 ? ", " : "",
                                node->inputs[k].id != 0 ? kata_value_name(graph, node->inputs[k])
                                                        : "-");
        }
        kata__buffer_text(out, ")");
        write_attributes(out, node, indent);
    }
    for (size_t i = 0; i < graph->n_outputs; i++) {
        write_line(out, graph, indent, "output   ", graph->outputs[i], "\n");
    }
}

kata_status kata_graph_text(char **text, const kata_graph *graph) {
    kata__buffer out;
    kata__buffer_init(&out, graph->context, DUMP_MAXIMUM);
    write_graph(&out, graph, 0);
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
    kata__buffer_printf(out, "\\n%s\" %s];\n",
                        kata_graph_shape_text(graph, &info->type.shape, shape), style);
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
                                    (int)info->node, i,
                                    kata_graph_shape_text(graph, &info->type.shape, shape));
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
