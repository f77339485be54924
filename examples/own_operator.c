/* An operator of one's own, from outside the library: one row says its name, attributes, shape
 * rule, kernel and gradient, and from then on it is used, differentiated and trained like any
 * other.
 *
 *     Snake (Ziyin et al. 2020):  y = x + sin^2(alpha x) / alpha,   dy/dx = 1 + sin(2 alpha x)
 *
 * An activation that learns what repeats, which Relu and Tanh do not. First its gradient is checked
 * against central differences in float64, then a network with it learns a wave. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

/* --- the row ---------------------------------------------------------------------------------- */

/* The output has the type of the input. Sizes may still be unknown here (the batch). */
static kata_status snake_infer(kata_infer *infer) {
    if (infer->inputs[0].dtype != KATA_F32 && infer->inputs[0].dtype != KATA_F64) {
        return kata_fail(KATA_DTYPE, "Snake: input 0 must be float32 or float64, got %s",
                         kata_dtype_name(infer->inputs[0].dtype));
    }
    if (!(infer->attributes[0].f > 0)) {
        return kata_fail(KATA_INVALID, "Snake: alpha must be above 0, got %g",
                         infer->attributes[0].f);
    }
    infer->outputs[0] = infer->inputs[0];
    return KATA_OK;
}

/* Plain loops over contiguous tensors. A faster kernel would stand beside it in `choose`. */
static kata_status snake_reference(const kata_call *call) {
    const kata_tensor *x = &call->inputs[0], *y = &call->outputs[0];
    double alpha = call->attributes[0].f;
    for (int64_t i = 0, n = kata_tensor_count(x); i < n; i++) {
        double xi = kata_load(x->dtype, x->data, i), s = sin(alpha * xi);
        kata_store(y->dtype, y->data, i, xi + s * s / alpha);
    }
    return KATA_OK;
}

/* The gradient is more nodes of the same kind: dx = dy (1 + sin(2 alpha x)). */
static kata_status snake_gradient(kata_gradient *gradient) {
    kata_graph *g = gradient->graph;
    kata_value x = gradient->inputs[0], dy = gradient->output_gradients[0];
    kata_dtype dtype = kata_value_dtype(g, x);
    kata_value factor = kata_graph_scalar(g, dtype, 2 * gradient->attributes[0].f);
    kata_value s = KATA_NODE(g, "Sin", KATA_INPUTS(KATA_NODE(g, "Mul", KATA_INPUTS(x, factor))));
    kata_value slope = KATA_NODE(g, "Add", KATA_INPUTS(s, kata_graph_scalar(g, dtype, 1)));
    gradient->input_gradients[0] = KATA_NODE(g, "Mul", KATA_INPUTS(dy, slope));
    return kata_graph_status(g);
}

static const kata_attribute_spec snake_attributes[] = {
    {.name = "alpha", .type = KATA_ATTRIBUTE_FLOAT, .default_float = 1, .doc = "frequency"}, {0}};

/* The domain keeps the name apart from all others. */
static const kata_op snake = {
    .name = "Snake",
    .domain = "example",
    .since = 1,
    .min_inputs = 1,
    .max_inputs = 1,
    .min_outputs = 1,
    .max_outputs = 1,
    .attributes = snake_attributes,
    .infer = snake_infer,
    .reference = snake_reference,
    .gradient = snake_gradient,
    .flags = KATA_OP_ELEMENTWISE,
    .in_place = 1,
    .tolerance = 1e-6,
    .doc = "x + sin^2(alpha x) / alpha (Ziyin et al. 2020).",
};

static int fail(void) {
    fprintf(stderr, "own_operator: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* --- is the gradient right? ------------------------------------------------------------------- */

enum { N = 7 };

/* The largest difference between the gradient of f(x) = sum snake(x) and
 * (f(x + h) - f(x - h)) / 2h, in float64. */
static kata_status check_gradient(double *worst) {
    const double h = 1e-5;
    kata_graph *graph;
    kata_session *session;
    kata_value dx;
    kata_status status = kata_graph_new(&graph, kata_context_default(), "check");
    if (status != KATA_OK) {
        return status;
    }
    kata_value x = kata_graph_input(graph, "x", KATA_F64, &KATA_SHAPE_OF(N));
    kata_value y = KATA_NODE_WITH(graph, "example:Snake", KATA_INPUTS(x), KATA_FLOAT("alpha", 1.7));
    kata_value f = KATA_NODE_WITH(graph, "ReduceSum", KATA_INPUTS(y), KATA_INT("keepdims", 0));
    if ((status = kata_graph_differentiate(graph, f, &x, 1, &dx)) != KATA_OK ||
        (status = kata_graph_output(graph, "f", f)) != KATA_OK ||
        (status = kata_graph_output(graph, "dx", dx)) != KATA_OK ||
        (status = kata_session_new(&session, graph, NULL)) != KATA_OK) {
        return status;
    }
    double *in = kata_session_input(session, 0).data, gradient[N];
    const double *value = kata_session_output(session, 0).data;
    for (int i = 0; i < N; i++) {
        in[i] = -2 + 0.6 * i;
    }
    status = kata_session_run(session, 0, 0);
    for (int i = 0; i < N; i++) {
        gradient[i] = ((const double *)kata_session_output(session, 1).data)[i];
    }
    *worst = 0;
    for (int i = 0; i < N && status == KATA_OK; i++) {
        double at = in[i], above;
        in[i] = at + h;
        kata_session_run(session, 0, 0);
        above = *value;
        in[i] = at - h;
        status = kata_session_run(session, 0, 0);
        in[i] = at;
        *worst = fmax(*worst, fabs((above - *value) / (2 * h) - gradient[i]));
    }
    kata_session_free(session);
    kata_graph_free(graph);
    return status;
}

/* --- a network with it ------------------------------------------------------------------------ */

enum { SAMPLES = 400 };
static float xs[SAMPLES], ys[SAMPLES];

/* The operator as a layer: one node. */
static kata_value snake_layer(kata_model *m, kata_value x, double alpha) {
    return KATA_NODE_WITH(kata_model_graph(m), "example:Snake", KATA_INPUTS(x),
                          KATA_FLOAT("alpha", alpha));
}

int main(void) {
    kata_context *context = kata_context_default();
    double worst;
    if (kata_op_register(context, &snake) != KATA_OK || check_gradient(&worst) != KATA_OK) {
        return fail();
    }
    printf("gradient of example:Snake: largest difference %.1e in float64\n", worst);
    if (!(worst < 1e-8)) {
        fprintf(stderr, "own_operator: the gradient is wrong\n");
        return EXIT_FAILURE;
    }

    for (int i = 0; i < SAMPLES; i++) {
        xs[i] = (float)(-6 + 12.0 * i / (SAMPLES - 1));
        ys[i] = sinf(2 * xs[i]) + xs[i] / 4;
    }
    kata_tensor x = kata_tensor_view(xs, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1));
    kata_tensor y = kata_tensor_view(ys, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1));
    kata_dataset *wave;
    if (kata_dataset_new(&wave, context, "wave") || kata_dataset_add_input(wave, &x) ||
        kata_dataset_add_target(wave, &y)) {
        return fail();
    }
    for (int own = 0; own < 2; own++) {
        kata_model *m = kata_model_new(own ? "snake" : "tanh");
        kata_value v = kata_dense(m, kata_input(m, KATA_F32, 1), .units = 32);
        v = own ? snake_layer(m, v, 1) : kata_activate(m, v, KATA_TANH);
        kata_output(m, kata_dense(m, v, .units = 1));
        kata_evaluation e;
        if (kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR, .optimizer = kata_adam(.lr = 5e-3)) ||
            kata_fit(m, wave, .epochs = 100, .batch = 20) || kata_evaluate(m, wave, &e)) {
            return fail();
        }
        printf("sin(2x) + x/4 with %s: R^2 %.3f\n", own ? "Snake" : "Tanh ",
               kata_regression_r2(&e.regression));
        kata_evaluation_free(&e);
        kata_model_free(m);
    }
    kata_dataset_free(wave);
    return EXIT_SUCCESS;
}
