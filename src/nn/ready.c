/* Ready networks by name, as the book describes them. */
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "nn/model.h"

static const kata_ready_entry entries[] = {
    {"two-layer", "dense 50 - ReLU - dense 10, weights N(0, 0.01) (book, 5.7.2)"},
    {"simple-convnet", "conv 30 5x5 - ReLU - pool - dense 100 - ReLU - dense 10 (book, 7.5)"},
    {"deep-convnet", "six 3x3 convolutions 16-16-32-32-64-64, dense 50, dropout, He (book, 8.1)"},
    {"mnist-sprint", "conv 24 5x5 - pool - conv 32 3x3 - pool - dense 256, for quick training"},
    {"mlp", "dense layers with ReLU, sizes of your choice (--hidden 100,100)"},
    {"logistic", "one dense layer: softmax or logistic regression"},
    {NULL, NULL}};

const kata_ready_entry *kata_model_ready_list(void) {
    return entries;
}

#define SMALL                                                                                      \
    { KATA_INIT_NORMAL, 0.01 } /* weight_init_std of the book's classes */

/* scratch-book-2 L4279-4397: Affine1 - Relu1 - Affine2. */
static kata_value two_layer(kata_model *m, kata_value x, const kata_ready_options *options) {
    int64_t units = options->hidden[0] > 0 ? options->hidden[0] : 50;
    x = kata_dense(m, kata_flatten(m, x), .units = units, .activation = KATA_RELU,
                   .initializer = SMALL);
    return kata_dense(m, x, .units = options->outputs, .initializer = SMALL);
}

/* scratch-book-2 L5751-5840. */
static kata_value simple_convnet(kata_model *m, kata_value x, const kata_ready_options *options) {
    x = kata_conv2d(m, x, .filters = 30, .kernel = {5, 5}, .activation = KATA_RELU,
                    .initializer = SMALL);
    x = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_dense(m, kata_flatten(m, x), .units = 100, .activation = KATA_RELU,
                   .initializer = SMALL);
    return kata_dense(m, x, .units = options->outputs, .initializer = SMALL);
}

/* scratch-book-2 L6006-6026: 3x3 filters, He weights, pad 1 but 2 for the fourth, dropout 0.5 after
 * both dense layers. */
static kata_value deep_convnet(kata_model *m, kata_value x, const kata_ready_options *options) {
    static const int64_t filters[] = {16, 16, 32, 32, 64, 64}, pads[] = {1, 1, 1, 2, 1, 1};
    for (int i = 0; i < 6; i++) {
        x = kata_conv2d(m, x, .filters = filters[i], .kernel = {3, 3}, .pad = {pads[i], pads[i]},
                        .activation = KATA_RELU);
        if (i % 2 == 1) {
            x = kata_max_pool2d(m, x, .size = {2, 2});
        }
    }
    x = kata_dense(m, kata_flatten(m, x), .units = 50, .activation = KATA_RELU);
    x = kata_dropout(m, x, .rate = 0.5);
    x = kata_dense(m, x, .units = options->outputs, .initializer = {KATA_INIT_HE, 0});
    return kata_dropout(m, x, .rate = 0.5);
}

/* Made for the time to 99 % on MNIST: little arithmetic (2.5 million multiply-adds a picture,
 * forward), whole vectors of channels, and no batch normalisation, which would cost a sweep a
 * layer. */
static kata_value mnist_sprint(kata_model *m, kata_value x, const kata_ready_options *options) {
    x = kata_conv2d(m, x, .filters = 24, .kernel = {5, 5}, .activation = KATA_RELU);
    x = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_conv2d(m, x, .filters = 32, .kernel = {3, 3}, .activation = KATA_RELU);
    x = kata_max_pool2d(m, x, .size = {2, 2});
    x = kata_dense(m, kata_flatten(m, x), .units = 256, .activation = KATA_RELU);
    return kata_dense(m, x, .units = options->outputs);
}

static kata_value mlp(kata_model *m, kata_value x, const kata_ready_options *options) {
    x = kata_flatten(m, x);
    if (options->hidden[0] <= 0) {
        x = kata_dense(m, x, .units = 100, .activation = KATA_RELU);
    }
    for (int i = 0; i < 16 && options->hidden[i] > 0; i++) {
        x = kata_dense(m, x, .units = options->hidden[i], .activation = KATA_RELU);
    }
    return kata_dense(m, x, .units = options->outputs);
}

static kata_value logistic(kata_model *m, kata_value x, const kata_ready_options *options) {
    return kata_dense(m, kata_flatten(m, x), .units = options->outputs);
}

typedef kata_value (*network)(kata_model *, kata_value, const kata_ready_options *);
static const network networks[] = {two_layer, simple_convnet, deep_convnet, mnist_sprint,
                                   mlp,       logistic};

static kata_status unknown_name(const char *name) {
    int best = 0;
    for (int i = 1; entries[i].name != NULL; i++) {
        if (kata__text_distance(name, entries[i].name) <
            kata__text_distance(name, entries[best].name)) {
            best = i;
        }
    }
    return kata_fail(KATA_NOT_FOUND,
                     "there is no model named %s; did you mean %s? (two-layer, simple-convnet, "
                     "deep-convnet, mnist-sprint, mlp, logistic, or the path of an .onnx file)",
                     name, entries[best].name);
}

kata_status kata_model_ready(kata_model **out, kata_context *context, const char *name,
                             const kata_ready_options *given) {
    kata_ready_options options = given != NULL ? *given : (kata_ready_options){0};
    if (options.input.rank == 0) {
        options.input = KATA_SHAPE_OF(1, 28, 28);
    }
    if (options.outputs == 0) {
        options.outputs = 10;
    }
    int which = 0;
    while (entries[which].name != NULL && strcmp(entries[which].name, name) != 0) {
        which++;
    }
    if (entries[which].name == NULL) {
        return unknown_name(name);
    }
    kata_model *model;
    KATA__TRY(kata_model_new_in(&model, context, name));
    kata_value x = kata_input_shape(model, NULL, KATA_F32, &options.input);
    if (options.rescale != 0) {
        x = kata_rescale(model, x, .scale = options.rescale);
    }
    kata_output(model, networks[which](model, x, &options));
    if (model->graph->status != KATA_OK) {
        kata_status status =
            kata_fail(model->graph->status, "model %s: %s", name, kata_graph_message(model->graph));
        kata_model_free(model);
        return status;
    }
    *out = model;
    return KATA_OK;
}
