/* Perceptrons as graphs: AND, NAND and OR are one weighted sum and a threshold each, XOR needs two
 * layers of them. No model and no training here: the graph alone, built, bound to a batch and run.
 */
#include <stdio.h>
#include <stdlib.h>

#include <kata/kata.h>

static int fail(void) {
    fprintf(stderr, "perceptron: %s\n", kata_error_message());
    return EXIT_FAILURE;
}

/* y = 1 if w1 x1 + w2 x2 + b > 0, else 0, for x (n,2). */
static kata_value gate(kata_graph *graph, kata_value x, float w1, float w2, float b) {
    float w[2] = {w1, w2};
    kata_tensor view = kata_tensor_view(w, KATA_F32, &KATA_SHAPE_OF(2, 1));
    kata_value sum =
        KATA_NODE(graph, "MatMul", KATA_INPUTS(x, kata_graph_constant(graph, NULL, &view)));
    sum = KATA_NODE(graph, "Add", KATA_INPUTS(sum, kata_graph_scalar(graph, KATA_F32, b)));
    kata_value fires =
        KATA_NODE(graph, "Greater", KATA_INPUTS(sum, kata_graph_scalar(graph, KATA_F32, 0)));
    /* 1 is ONNX's number of float32. */
    return KATA_NODE_WITH(graph, "Cast", KATA_INPUTS(fires), KATA_INT("to", 1));
}

/* The weights are the book's (scratch-book-1, chapter 2). */
static kata_value and_gate(kata_graph *graph, kata_value x) {
    return gate(graph, x, 0.5F, 0.5F, -0.7F);
}

static kata_value nand_gate(kata_graph *graph, kata_value x) {
    return gate(graph, x, -0.5F, -0.5F, 0.7F);
}

static kata_value or_gate(kata_graph *graph, kata_value x) {
    return gate(graph, x, 0.5F, 0.5F, -0.2F);
}

/* One line cannot divide XOR's answers; NAND and OR first, then AND of the two can. */
static kata_value xor_gate(kata_graph *graph, kata_value x) {
    kata_value hidden = KATA_NODE_WITH(
        graph, "Concat", KATA_INPUTS(nand_gate(graph, x), or_gate(graph, x)), KATA_INT("axis", 1));
    return and_gate(graph, hidden);
}

int main(void) {
    static const float cases[4][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}};
    kata_graph *graph, *bound;
    kata_session *session;
    if (kata_graph_new(&graph, kata_context_default(), "gates") != KATA_OK) {
        return fail();
    }
    kata_value x = kata_graph_input(graph, "x", KATA_F32, &KATA_SHAPE_OF(KATA_UNKNOWN_DIM, 2));
    kata_graph_output(graph, "and", and_gate(graph, x));
    kata_graph_output(graph, "nand", nand_gate(graph, x));
    kata_graph_output(graph, "or", or_gate(graph, x));
    kata_graph_output(graph, "xor", xor_gate(graph, x));

    /* All four cases are one batch: the graph of batch size 4, its memory placed, run once. */
    if (kata_graph_bind(&bound, graph, KATA_SIZES({"N", 4}), false) != KATA_OK ||
        kata_session_new(&session, bound, NULL) != KATA_OK) {
        return fail();
    }
    float *input = kata_session_input(session, 0).data;
    for (int i = 0; i < 8; i++) {
        input[i] = cases[i / 2][i % 2];
    }
    if (kata_session_run(session, 0, 0) != KATA_OK) {
        return fail();
    }
    printf("x1 x2   AND NAND  OR XOR\n");
    for (int i = 0; i < 4; i++) {
        printf("%2.0f %2.0f ", cases[i][0], cases[i][1]);
        for (int k = 0; k < 4; k++) {
            const float *y = kata_session_output(session, k).data;
            printf(" %4.0f", y[i]);
        }
        printf("\n");
    }
    const float *y = kata_session_output(session, 3).data;
    if (y[0] != 0 || y[1] != 1 || y[2] != 1 || y[3] != 0) {
        fprintf(stderr, "perceptron: XOR is wrong\n");
        return EXIT_FAILURE;
    }
    kata_session_free(session);
    kata_graph_free(bound);
    kata_graph_free(graph);
    return EXIT_SUCCESS;
}
