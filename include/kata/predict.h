/* Kata, exec room: predictors. A predictor answers for a graph: for any number of samples, in any
 * number of threads at a time.
 *
 *     kata_predictor *predictor;
 *     kata_predictor_new(&predictor, graph, NULL);
 *     kata_named_tensor in = {"x", kata_tensor_view(numbers, KATA_F32, &KATA_SHAPE_OF(3, 784))};
 *     kata_named_tensor out = {.name = "y"};
 *     kata_predictor_run(predictor, &in, 1, &out, 1);
 *     ... out.tensor ...
 *     kata_tensor_release(&out.tensor);
 *
 * All callers share one graph and one block of prepared weights; each has only the memory of its
 * own activations, which is kept for the next caller.
 */
#ifndef KATA_PREDICT_H
#define KATA_PREDICT_H

#include <kata/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, text): what convolutions and large matrix products compute in. bfloat16 has float32's
 * range and 8 bits of precision; sums, weights, optimiser, loss and statistics are float32 all the
 * same, and a model's file does not change. BF16 computes in float32 where bfloat16 would be slower
 * (kata_context_bfloat16). */
#define KATA_PRECISION_LIST(X)                                                                     \
    X(F32, "f32")                                                                                  \
    X(BF16, "bf16")
typedef enum kata_precision {
#define X(name, text) KATA_PRECISION_##name,
    KATA_PRECISION_LIST(X)
#undef X
        KATA_PRECISION_COUNT
} kata_precision;

typedef struct kata_predictor kata_predictor;

typedef struct kata_predictor_options {
    kata_precision precision; /* 0: float32 */
} kata_predictor_options;

/* Holds the graph: it may be freed by its owner before the predictor, but must not be changed
 * meanwhile. Its weights may be, while no thread predicts (kata_variable_changed). */
KATA_API kata_status kata_predictor_new(kata_predictor **out, kata_graph *graph,
                                        const kata_predictor_options *options);
/* No thread may use it any more. */
KATA_API void kata_predictor_free(kata_predictor *predictor);

/* Computes the outputs that are named from all inputs of the graph, which are found by name.
 *
 * Inputs are contiguous, of any dtype (converted as by kata_tensor_copy) and of the graph's shapes;
 * a size that is open there may be anything, as long as open sizes of one name agree. Where the
 * first size is fixed in the graph (a model that was made for b samples), any number of samples may
 * be given: they run b at a time, the last filled up and cut, if the graph does the same to each
 * sample by itself; KATA_SHAPE says so where it does not.
 *
 * An output without a tensor (dtype KATA_NO_DTYPE) is given a new one, to be released with
 * kata_tensor_release; one with a contiguous tensor of the caller's, with the same first size and
 * as many numbers, is written there and converted. After the first calls of their sizes such runs
 * allocate nothing. For any number of threads at a time; every result has the same bits as alone.
 */
KATA_API kata_status kata_predictor_run(kata_predictor *predictor, const kata_named_tensor *inputs,
                                        int n_inputs, kata_named_tensor *outputs, int n_outputs);

/* Bytes that the predictor has of the context: shared ones (graphs, plans, prepared weights), and
 * how many sessions there are of how many bytes of activations at most. */
typedef struct kata_predictor_memory {
    size_t prepared;    /* weights in the form that kernels read */
    size_t activations; /* of all sessions together */
    int n_sessions;     /* as many as there were callers at a time */
} kata_predictor_memory;
KATA_API kata_predictor_memory kata_predictor_memory_of(kata_predictor *predictor);

#ifdef __cplusplus
}
#endif
#endif
