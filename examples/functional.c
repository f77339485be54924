/* A model that is no chain: two inputs, one layer shared by both, a skip connection, two outputs.
 * It learns, from two points of the plane, their distance and the point between them.
 *
 *     a (2) --- embed ---+            +--- dense --- distance (1)
 *                        +-- concat --+
 *     b (2) --- embed ---+     |      +--- dense --- middle (2)
 *              (same weights)  +-- dense, added to what went in (skip)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

enum { SAMPLES = 2000 };
static float a[SAMPLES][2], b[SAMPLES][2], distance[SAMPLES][1], middle[SAMPLES][2];

static int fail(void) {
    fprintf(stderr, "functional: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* Points in [-1,1) x [-1,1). A random number is a function of (seed, stream, step, index): every
 * run, on every machine, draws the same. */
static kata_status make_points(kata_dataset **out) {
    for (int i = 0; i < SAMPLES; i++) {
        for (uint32_t k = 0; k < 2; k++) {
            a[i][k] = 2 * kata_random_uniform(1, k, 0, (uint64_t)i) - 1;
            b[i][k] = 2 * kata_random_uniform(1, 2 + k, 0, (uint64_t)i) - 1;
            middle[i][k] = (a[i][k] + b[i][k]) / 2;
        }
        distance[i][0] = hypotf(a[i][0] - b[i][0], a[i][1] - b[i][1]);
    }
    const kata_tensor inputs[] = {kata_tensor_view(a, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 2)),
                                  kata_tensor_view(b, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 2))};
    const kata_tensor targets[] = {kata_tensor_view(distance, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 1)),
                                   kata_tensor_view(middle, KATA_F32, &KATA_SHAPE_OF(SAMPLES, 2))};
    kata_status status = kata_dataset_new(out, kata_context_default(), "points");
    for (int k = 0; k < 2 && status == KATA_OK; k++) {
        status = kata_dataset_add_input(*out, &inputs[k]);
        status = status == KATA_OK ? kata_dataset_add_target(*out, &targets[k]) : status;
    }
    return status;
}

static kata_model *make_model(void) {
    kata_model *m = kata_model_new("points");
    kata_value va = kata_input_shape(m, "a", KATA_F32, &KATA_SHAPE_OF(2));
    kata_value vb = kata_input_shape(m, "b", KATA_F32, &KATA_SHAPE_OF(2));
    va = kata_dense(m, va, .units = 32, .activation = KATA_TANH, .name = "embed");
    vb = kata_dense(m, vb, .units = 32, .activation = KATA_TANH, .weights_of = "embed");
    kata_value both = kata_concat(m, 1, va, vb);
    kata_value more = kata_dense(m, both, .units = 64, .activation = KATA_RELU);
    both = kata_add(m, both, more);
    kata_output(m, kata_dense(m, both, .units = 1, .name = "distance"));
    kata_output(m, kata_dense(m, both, .units = 2, .name = "middle"));
    return m;
}

int main(void) {
    kata_dataset *points;
    if (make_points(&points) != KATA_OK) {
        return fail();
    }
    kata_model *m = make_model();
    kata_history_row rows[60];
    if (kata_compile(m, .loss = KATA_MEAN_SQUARED_ERROR, .optimizer = kata_adam(.lr = 5e-3)) ||
        kata_fit(m, points, .epochs = 60, .batch = 50,
                 .schedule = {.kind = KATA_SCHEDULE_COSINE, .final = 0.01}, .rows = rows,
                 .n_rows = 60)) {
        return fail();
    }
    printf("loss of both outputs together: %.5f after epoch 1, %.5f after epoch 60\n", rows[0].loss,
           rows[59].loss);

    /* Several inputs: bind the model's graph to a batch and run it in a session. */
    kata_graph *bound;
    kata_session *session;
    if (kata_graph_bind(&bound, kata_model_graph(m), KATA_SIZES({"N", 1}), false) != KATA_OK ||
        kata_session_new(&session, bound, NULL) != KATA_OK) {
        return fail();
    }
    float *in_a = kata_session_input(session, 0).data, *in_b = kata_session_input(session, 1).data;
    in_a[0] = -0.5F, in_a[1] = 0.25F, in_b[0] = 0.5F, in_b[1] = 0.25F;
    if (kata_session_run(session, 0, 0) != KATA_OK) {
        return fail();
    }
    const float *d = kata_session_output(session, 0).data;
    const float *c = kata_session_output(session, 1).data;
    printf("(-0.5, 0.25) and (0.5, 0.25): distance %.3f (1), middle (%.3f, %.3f) (0, 0.25)\n", d[0],
           c[0], c[1]);
    kata_session_free(session);
    kata_graph_free(bound);
    kata_model_free(m);
    kata_dataset_free(points);
    return EXIT_SUCCESS;
}
