/* Helpers for gradient rules. */
#include "op/gradient.h"

#include "tensor/dtype.h"

kata_value kata__scalar_like(kata_graph *graph, double value, kata_value like) {
    return kata_graph_scalar(graph, kata_value_dtype(graph, like), value);
}

kata_value kata__add(kata_graph *graph, kata_value a, kata_value b) {
    return KATA_NODE(graph, "Add", KATA_INPUTS(a, b));
}

kata_value kata__sub(kata_graph *graph, kata_value a, kata_value b) {
    return KATA_NODE(graph, "Sub", KATA_INPUTS(a, b));
}

kata_value kata__mul(kata_graph *graph, kata_value a, kata_value b) {
    return KATA_NODE(graph, "Mul", KATA_INPUTS(a, b));
}

kata_value kata__div(kata_graph *graph, kata_value a, kata_value b) {
    return KATA_NODE(graph, "Div", KATA_INPUTS(a, b));
}

kata_value kata__scale(kata_graph *graph, kata_value value, double factor) {
    if (factor == 1.0) {
        return value;
    }
    return kata__mul(graph, value, kata__scalar_like(graph, factor, value));
}

kata_value kata__where(kata_graph *graph, kata_value condition, kata_value a, kata_value b) {
    return KATA_NODE(graph, "Where", KATA_INPUTS(condition, a, b));
}

kata_value kata__cast_like(kata_graph *graph, kata_value value, kata_value like) {
    kata_dtype dtype = kata_value_dtype(graph, like);
    if (kata_value_dtype(graph, value) == dtype) {
        return value;
    }
    return KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(value),
                          KATA_INT("to", kata__dtype_code(dtype)));
}

kata_value kata__reshape_to(kata_graph *graph, kata_value value, const kata_shape *shape) {
    kata_shape old = kata_value_shape(graph, value);
    if (kata_shape_equal(&old, shape)) {
        return value;
    }
    /* allowzero: a size of 0 is a size here, not "as it was". */
    return KATA_NODE_WITH(graph, "Reshape",
                          KATA_INPUTS(value, kata_graph_int64s(graph, shape->dim, shape->rank)),
                          KATA_INT("allowzero", 1));
}

kata_value kata__expand_to(kata_graph *graph, kata_value value, const kata_shape *shape) {
    kata_shape old = kata_value_shape(graph, value);
    if (kata_shape_equal(&old, shape)) {
        return value;
    }
    return KATA_NODE(graph, "Expand",
                     KATA_INPUTS(value, kata_graph_int64s(graph, shape->dim, shape->rank)));
}

kata_value kata__zeros_like(kata_graph *graph, kata_value like) {
    kata_shape shape = kata_value_shape(graph, like);
    return kata__expand_to(graph, kata__scalar_like(graph, 0.0, like), &shape);
}

bool kata__constant_scalar(const kata_graph *graph, kata_value value, double *out) {
    const kata_tensor *tensor = kata__graph_constant_of(graph, value);
    if (!tensor || kata_tensor_count(tensor) != 1) {
        return false;
    }
    *out = kata_load(tensor->dtype, tensor->data, 0);
    return true;
}

kata_value kata__sum_to(kata_graph *graph, kata_value value, kata_value like) {
    kata_shape from = kata_value_shape(graph, value), to = kata_value_shape(graph, like);
    if (kata_shape_equal(&from, &to)) {
        return value;
    }
    int64_t axes[KATA_MAX_RANK];
    int n = 0, lead = from.rank - to.rank;
    for (int i = 0; i < from.rank; i++) {
        if (i < lead ? from.dim[i] != 1 : from.dim[i] != to.dim[i - lead]) {
            axes[n++] = i;
        }
    }
    if (n > 0) {
        value = KATA_NODE_WITH(graph, "ReduceSum",
                               KATA_INPUTS(value, kata_graph_int64s(graph, axes, n)),
                               KATA_INT("keepdims", lead == 0));
    }
    return kata__reshape_to(graph, value, &to);
}

kata_status kata__gradient_zero(kata_gradient *gradient) {
    for (int i = 0; i < gradient->n_inputs; i++) {
        gradient->input_gradients[i] = KATA_NONE;
    }
    return KATA_OK;
}

kata_status kata__gradient_pass(kata_gradient *gradient) {
    gradient->input_gradients[0] = gradient->output_gradients[0];
    return KATA_OK;
}

kata_status kata__gradient_reshape(kata_gradient *gradient) {
    kata_shape shape = kata_value_shape(gradient->graph, gradient->inputs[0]);
    gradient->input_gradients[0] =
        kata__reshape_to(gradient->graph, gradient->output_gradients[0], &shape);
    return kata_graph_status(gradient->graph);
}
