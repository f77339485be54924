/* A model: a graph, and how its variables began. */
#ifndef KATA_NN_MODEL_H
#define KATA_NN_MODEL_H

#include <math.h>

#include <kata/nn.h>
#include <kata/predict.h>
#include "graph/graph.h"

/* The initial state of a variable; `standard_deviation` etc. are resolved when the layer is added.
 */
typedef struct kata__initial {
    kata_variable *variable;
    kata_initializer initializer; /* never DEFAULT */
    int64_t fan_in, fan_out;
} kata__initial;

/* Is a number of an option struct given: not 0, or KATA_ZERO? */
static inline bool kata__is_given(double value) {
    return value != 0 || signbit(value);
}

static inline double kata__given_or(double value, double otherwise) {
    return kata__is_given(value) ? value + 0.0 : otherwise; /* -0 + 0 is 0 */
}

struct kata__trainer; /* train room */

struct kata_model {
    kata_context *context;
    kata_graph *graph;
    kata__initial *initials;
    size_t n_initials, initials_capacity;
    int layer_count[KATA_LAYER_COUNT]; /* for made-up names */
    bool fresh;            /* weights are the initial ones: kata_compile may draw them anew */
    size_t *label_offsets; /* where each label's text begins in the metadata, or NULL */
    size_t n_labels;
    uint64_t labels_version; /* of the graph's metadata when they were found */
    kata_status failure;     /* of the last kata_compile or kata_fit */
    char *failure_message;
    _Atomic(kata_predictor *) predictor; /* of kata_predict and kata_evaluate; NULL: none yet */
    struct kata__trainer *trainer;
    void (*trainer_free)(struct kata__trainer *trainer); /* set by the train room */
};

/* A variable of the model with its initial state, which is drawn at once. */
kata_value kata__model_variable(kata_model *model, const char *name, const kata_shape *shape,
                                bool trainable, kata_initializer initializer, int64_t fan_in,
                                int64_t fan_out, kata_variable **variable);
/* The made-up or given name of the next layer of a type; written to `text`. */
const char *kata__layer_next_name(kata_model *model, const kata_layer *layer, char text[64]);

/* Finds where the labels begin in the metadata. Without it they are looked for from the start. */
kata_status kata__model_index_labels(kata_model *model);

/* Remembers how a step of the model's making ended, for kata_save; returns `status`. */
kata_status kata__model_ended(kata_model *model, kata_status status);

#endif
