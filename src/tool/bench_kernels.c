/* kata bench gemm, conv, optimizer: one node in a graph of its own, run as users run it. */
#include <inttypes.h>
#include <string.h>

#include <kata/pass.h>

#include "tool/bench.h"

/* --- a graph of one node ---------------------------------------------------------------------- */

typedef struct one_node {
    kata_graph *graph;
    kata_session *session;
    uint64_t step;
} one_node;

static kata_status run_node(void *user) {
    one_node *node = user;
    return kata_session_run(node->session, 0, node->step++);
}

/* Small numbers of both signs, so that no sum becomes large and no product subnormal. */
static void fill(kata_tensor tensor) {
    float *x = tensor.data;
    int64_t n = kata_tensor_count(&tensor);
    for (int64_t i = 0; i < n; i++) {
        x[i] = (float)((i * 2654435761u >> 8) % 1000) * 1e-3f - 0.4995f;
    }
}

static void node_free(one_node *node) {
    kata_session_free(node->session);
    kata_graph_free(node->graph);
}

static double bytes_of(const one_node *node) {
    double sum = 0;
    for (int i = 0; i < kata_graph_n_inputs(node->graph); i++) {
        kata_tensor t = kata_session_input(node->session, i);
        sum += (double)kata_tensor_bytes(&t);
    }
    for (int i = 0; i < kata_graph_n_outputs(node->graph); i++) {
        kata_tensor t = kata_session_output(node->session, i);
        sum += (double)kata_tensor_bytes(&t);
    }
    return sum + (double)kata_session_variable_bytes(node->session);
}

/* Plans the graph, fills its inputs, measures; frees the graph. */
static kata_status measure_node(kata__bench *bench, one_node *node, const char *name,
                                kata__bench_work *work) {
    kata_status status = kata_graph_status(node->graph);
    if (status != KATA_OK) {
        status = kata_fail(status, "%s: %s", name, kata_graph_message(node->graph));
    } else {
        status = kata_graph_simplify(node->graph);
    }
    if (status == KATA_OK) {
        status = kata_session_new(&node->session, node->graph, NULL);
    }
    if (status == KATA_OK) {
        for (int i = 0; i < kata_graph_n_inputs(node->graph); i++) {
            kata_tensor input = kata_session_input(node->session, i);
            if (input.shape.rank > 0) {
                fill(input);
            } else {
                *(float *)input.data = 1e-3f; /* learning rate, number of the step */
            }
        }
        for (int i = 0; i < kata_graph_n_variables(node->graph); i++) {
            const kata_variable *variable = kata_graph_variable_at(node->graph, i);
            if (variable->trainable) { /* an optimiser's state begins as zero */
                fill(variable->tensor);
            }
        }
        work->call = run_node;
        work->user = node;
        work->bytes = work->bytes > 0 ? work->bytes : bytes_of(node);
        work->footprint = bytes_of(node);
        status = kata__bench_measure(bench, name, work);
    }
    node_free(node);
    return status;
}

/* --- products --------------------------------------------------------------------------------- */

/* Squares, and the shapes of the books' networks (what they are of: README of bench/peers). */
static const struct {
    const char *name;
    int64_t m, n, k;
    bool transpose_a;
} products[] = {
    {"512", 512, 512, 512, false},
    {"1024", 1024, 1024, 1024, false},
    {"2048", 2048, 2048, 2048, false},
    {"100x50x784", 100, 50, 784, false},       /* 784-50-10, forward */
    {"784x50x100", 784, 50, 100, true},        /* its weight's gradient */
    {"57600x30x25", 57600, 30, 25, false},     /* a 5x5 convolution of a batch as a product */
    {"30x576x25", 30, 576, 25, false},         /* of one picture */
    {"16x784x144", 16, 784, 144, false},       /* a 3x3 convolution of 16 channels, one picture */
    {"100x100x4320", 100, 100, 4320, false},   /* SimpleConvNet's dense layer */
    {"20x800x200", 20, 800, 200, false},       /* an LSTM's gates */
    {"700x10000x200", 700, 10000, 200, false}, /* its words */
    {"1x1000x1000", 1, 1000, 1000, false},
};

static kata_status run_product(kata__bench *bench, const kata__bench_entry *entry) {
    int64_t m = products[entry->index].m, n = products[entry->index].n,
            k = products[entry->index].k;
    bool transpose = products[entry->index].transpose_a;
    one_node node = {.graph = NULL};
    KATA__TRY(kata_graph_new(&node.graph, bench->context, entry->name));
    kata_value a = kata_graph_input(node.graph, "a", KATA_F32,
                                    transpose ? &KATA_SHAPE_OF(k, m) : &KATA_SHAPE_OF(m, k));
    kata_value b = kata_graph_input(node.graph, "b", KATA_F32, &KATA_SHAPE_OF(k, n));
    kata_graph_output(
        node.graph, "c",
        KATA_NODE_WITH(node.graph, "Gemm", KATA_INPUTS(a, b), KATA_INT("transA", transpose)));
    kata__bench_work work = {
        .flops = 2.0 * (double)m * (double)n * (double)k, .items = 1, .unit = "call"};
    return measure_node(bench, &node, entry->name, &work);
}

/* --- convolutions ----------------------------------------------------------------------------- */

typedef struct convolution {
    const char *name;
    int64_t batch, channels, size, filters, kernel, pad, stride, groups; /* groups 0: 1 */
} convolution;

static const convolution convolutions[] = {
    {"simple-convnet/1", 100, 1, 28, 30, 5, 0, 1, 0},
    {"deep-convnet/1", 100, 1, 28, 16, 3, 1, 1, 0},
    {"deep-convnet/2", 100, 16, 28, 16, 3, 1, 1, 0},
    {"deep-convnet/3", 100, 16, 14, 32, 3, 1, 1, 0},
    {"deep-convnet/4", 100, 32, 14, 32, 3, 2, 1, 0},
    {"deep-convnet/5", 100, 32, 8, 64, 3, 1, 1, 0},
    {"deep-convnet/6", 100, 64, 8, 64, 3, 1, 1, 0},
    /* Simonyan and Zisserman 2014, configuration D, by the layers' names in it */
    {"vgg-16/1_1", 1, 3, 224, 64, 3, 1, 1, 0},
    {"vgg-16/1_2", 1, 64, 224, 64, 3, 1, 1, 0},
    {"vgg-16/2_1", 1, 64, 112, 128, 3, 1, 1, 0},
    {"vgg-16/2_2", 1, 128, 112, 128, 3, 1, 1, 0},
    {"vgg-16/3_1", 1, 128, 56, 256, 3, 1, 1, 0},
    {"vgg-16/3_2", 1, 256, 56, 256, 3, 1, 1, 0},
    {"vgg-16/4_1", 1, 256, 28, 512, 3, 1, 1, 0},
    {"vgg-16/4_2", 1, 512, 28, 512, 3, 1, 1, 0},
    {"vgg-16/5_1", 1, 512, 14, 512, 3, 1, 1, 0},
    /* He et al. 2015: the stem and, of stages 2 to 5, a block's three convolutions */
    {"resnet-50/1", 1, 3, 224, 64, 7, 3, 2, 0},
    {"resnet-50/2a", 1, 256, 56, 64, 1, 0, 1, 0},
    {"resnet-50/2b", 1, 64, 56, 64, 3, 1, 1, 0},
    {"resnet-50/2c", 1, 64, 56, 256, 1, 0, 1, 0},
    {"resnet-50/3a", 1, 512, 28, 128, 1, 0, 1, 0},
    {"resnet-50/3b", 1, 128, 28, 128, 3, 1, 1, 0},
    {"resnet-50/3c", 1, 128, 28, 512, 1, 0, 1, 0},
    {"resnet-50/4a", 1, 1024, 14, 256, 1, 0, 1, 0},
    {"resnet-50/4b", 1, 256, 14, 256, 3, 1, 1, 0},
    {"resnet-50/4c", 1, 256, 14, 1024, 1, 0, 1, 0},
    {"resnet-50/5a", 1, 2048, 7, 512, 1, 0, 1, 0},
    {"resnet-50/5b", 1, 512, 7, 512, 3, 1, 1, 0},
    {"resnet-50/5c", 1, 512, 7, 2048, 1, 0, 1, 0},
    /* Sandler et al. 2018: the stem; expansion, depth-wise part and projection of some blocks */
    {"mobilenet-v2/1", 1, 3, 224, 32, 3, 1, 2, 0},
    {"mobilenet-v2/2-depth", 1, 32, 112, 32, 3, 1, 1, 32},
    {"mobilenet-v2/2-to", 1, 32, 112, 16, 1, 0, 1, 0},
    {"mobilenet-v2/3-from", 1, 24, 56, 144, 1, 0, 1, 0},
    {"mobilenet-v2/3-depth", 1, 144, 56, 144, 3, 1, 1, 144},
    {"mobilenet-v2/3-to", 1, 144, 56, 24, 1, 0, 1, 0},
    {"mobilenet-v2/5-from", 1, 64, 14, 384, 1, 0, 1, 0},
    {"mobilenet-v2/5-depth", 1, 384, 14, 384, 3, 1, 1, 384},
    {"mobilenet-v2/5-to", 1, 384, 14, 64, 1, 0, 1, 0},
    {"mobilenet-v2/7-depth", 1, 960, 7, 960, 3, 1, 1, 960},
    {"mobilenet-v2/8", 1, 320, 7, 1280, 1, 0, 1, 0},
};
enum { N_USUAL_CONVOLUTIONS = 7 };

static kata_status run_convolution(kata__bench *bench, const kata__bench_entry *entry) {
    const convolution *v = &convolutions[entry->index];
    int64_t groups = v->groups > 0 ? v->groups : 1;
    one_node node = {.graph = NULL};
    KATA__TRY(kata_graph_new(&node.graph, bench->context, entry->name));
    kata_graph *graph = node.graph;
    kata_value x = kata_graph_input(graph, "x", KATA_F32,
                                    &KATA_SHAPE_OF(v->batch, v->channels, v->size, v->size));
    kata_value w = kata_graph_variable(
        graph, "w", KATA_F32,
        &KATA_SHAPE_OF(v->filters, v->channels / groups, v->kernel, v->kernel), true, NULL);
    kata_value b =
        kata_graph_variable(graph, "b", KATA_F32, &KATA_SHAPE_OF(v->filters), true, NULL);
    kata_value y = KATA_NODE_WITH(graph, "Conv", KATA_INPUTS(x, w, b), KATA_INT("group", groups),
                                  KATA_INTS("pads", v->pad, v->pad, v->pad, v->pad),
                                  KATA_INTS("strides", v->stride, v->stride));
    kata_graph_output(graph, "y", y);
    kata__bench_work work = {.items = (double)v->batch, .unit = "sample", .batch = v->batch};
    kata_session *session; /* only to ask the row for its operations */
    if (kata_graph_status(graph) == KATA_OK) {
        if (kata_session_new(&session, graph, NULL) != KATA_OK) {
            node_free(&node);
            return KATA_OUT_OF_MEMORY;
        }
        work.flops = kata__bench_session_flops(session);
        kata_session_free(session);
    }
    return measure_node(bench, &node, entry->name, &work);
}

/* --- optimisers ------------------------------------------------------------------------------- */

static const struct {
    const char *name, *op;
    int n_states;
    bool has_t;
} optimizers[] = {
    {"sgd", "kata:SGD", 0, false},           {"momentum", "kata:Momentum", 1, false},
    {"nesterov", "kata:Nesterov", 1, false}, {"adagrad", "kata:AdaGrad", 1, false},
    {"rmsprop", "kata:RMSProp", 1, false},   {"adam", "kata:Adam", 2, true},
};

static kata_status run_optimizer(kata__bench *bench, const kata__bench_entry *entry) {
    enum { N = 1000000 };
    int n = 0, n_states = optimizers[entry->index].n_states;
    one_node node = {.graph = NULL};
    KATA__TRY(kata_graph_new(&node.graph, bench->context, entry->name));
    kata_graph *graph = node.graph;
    const kata_shape all = KATA_SHAPE_OF(N), scalar = {.rank = 0};
    kata_value inputs[6], outputs[3];
    static const char *const names[] = {"w", "state_1", "state_2"};
    for (int i = 0; i <= n_states; i++) {
        inputs[n++] = kata_graph_variable(graph, names[i], KATA_F32, &all, i == 0, NULL);
    }
    inputs[n++] = kata_graph_input(graph, "g", KATA_F32, &all);
    inputs[n++] = kata_graph_input(graph, "lr", KATA_F32, &scalar);
    if (optimizers[entry->index].has_t) {
        inputs[n++] = kata_graph_input(graph, "t", KATA_F32, &scalar);
    }
    kata_graph_node_outputs(graph, "update", optimizers[entry->index].op, inputs, n, NULL, 0,
                            outputs, 1 + n_states);
    kata__bench_work work = {
        .items = N,
        .unit = "parameter",
        .bytes = (double)N * sizeof(float) * (1 + 2 * (1 + n_states)) /* all but g also written */
    };
    return measure_node(bench, &node, entry->name, &work);
}

void kata__bench_add_kernels(kata__bench_list *list) {
    for (int i = 0; i < (int)KATA__COUNT(products); i++) {
        kata__bench_add(list, "gemm", products[i].name, run_product, i, true);
    }
    for (int i = 0; i < (int)KATA__COUNT(convolutions); i++) {
        kata__bench_add(list, "conv", convolutions[i].name, run_convolution, i,
                        i < N_USUAL_CONVOLUTIONS);
    }
    for (int i = 0; i < (int)KATA__COUNT(optimizers); i++) {
        kata__bench_add(list, "optimizer", optimizers[i].name, run_optimizer, i, true);
    }
}
