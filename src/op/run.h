/* What a node of a session's dynamic part may ask of the run that calls it: memory that grows,
 * and the runs of its subgraphs. The exec room makes it (exec/dynamic.c). */
#ifndef KATA_OP_RUN_H
#define KATA_OP_RUN_H

#include <kata/op.h>

/* A place in the run's memory to go back to. */
typedef struct kata__run_mark {
    size_t chunk, used;
} kata__run_mark;

struct kata_run {
    kata_status status; /* of the last failure of `memory` or `buffer` */
    /* Aligned to 64 bytes, not initialised; valid until the session's next run or a release. NULL
     * and an error set if there is too little. */
    void *(*memory)(kata_run *run, size_t n_bytes);
    kata__run_mark (*mark)(kata_run *run);
    void (*release)(kata_run *run, kata__run_mark mark);
    /* Releases to the mark all but what these tensors hold, and lets them show it where it is now.
     */
    kata_status (*keep)(kata_run *run, kata__run_mark mark, kata_tensor *tensors, int n);
    /* Growing buffers beside that memory, which live as long as the session. `first` buffers are in
     * use; returns buffer number `i` with room for n_bytes and its old bytes, NULL and an error. */
    void *(*buffer)(kata_run *run, int i, size_t n_bytes);
    int n_buffers; /* in use: a node takes the next ones and gives them back */
    /* Runs attribute `attribute` of the call's node, a subgraph. outputs: as many as it has. */
    kata_status (*subgraph)(kata_run *run, const kata_call *call, int attribute,
                            const kata_tensor *inputs, int n_inputs, kata_tensor *outputs);
};

/* The status to return when kata_call_memory has given NULL. */
static inline kata_status kata__run_fault(const kata_call *call) {
    return call->run != NULL ? call->run->status : KATA_INVALID;
}

/* Elements of a sequence: a sequence's operand is a tensor of rank 1 whose elements are tensors. */
static inline int64_t kata__sequence_length(const kata_tensor *sequence) {
    return sequence->shape.dim[0];
}
static inline kata_tensor *kata__sequence_elements(const kata_tensor *sequence) {
    return (kata_tensor *)sequence->data;
}

#endif
