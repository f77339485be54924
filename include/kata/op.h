/* Kata: what an operator is. One row of the operator table says everything about one operator:
 * names, attributes, shape rule, kernels, gradient rule, form in training, older forms in files,
 * tolerance, one line of documentation. Nothing else in the library needs to know its name. The
 * library's rows are in src/op; a row of your own is added with kata_op_register and then used like
 * any other ("subclassing"). examples/own_operator.c shows one.
 */
#ifndef KATA_OP_H
#define KATA_OP_H

#include <kata/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KATA_MAX_INPUTS 64 /* of one node; Concat and Sum are the long ones */
#define KATA_MAX_OUTPUTS 64
#define KATA_MAX_ATTRIBUTES 64 /* of one row */

typedef struct kata_graph kata_graph;
typedef struct kata_op kata_op;

typedef enum kata_attribute_type {
    KATA_ATTRIBUTE_END = 0,
    KATA_ATTRIBUTE_INT,
    KATA_ATTRIBUTE_FLOAT,
    KATA_ATTRIBUTE_STRING,
    KATA_ATTRIBUTE_INTS,
    KATA_ATTRIBUTE_FLOATS,
    KATA_ATTRIBUTE_TENSOR,
    KATA_ATTRIBUTE_STRINGS,
    KATA_ATTRIBUTE_GRAPH /* a subgraph: see kata_graph_subgraph */
} kata_attribute_type;

/* An attribute that a row declares. A list of them ends with a zeroed one. The value of attribute k
 * of the list is attributes[k] of a node, with the default filled in where the node gave none. */
typedef struct kata_attribute_spec {
    const char *name;
    kata_attribute_type type;
    bool required;
    int64_t default_int;
    double default_float;
    const char *default_string; /* NULL: absent (is_set is false) */
    const char *doc;
} kata_attribute_spec;

/* An attribute of a node. */
typedef struct kata_attribute_value {
    bool is_set; /* given by the node */
    int64_t i;
    double f;
    const char *s; /* NULL if absent */
    int n;         /* of ints, floats or strings; 0 if absent */
    const int64_t *ints;
    const double *floats;
    const kata_tensor *tensor;
    const char *const *strings;
    const kata_graph *graph; /* NULL if absent */
} kata_attribute_value;

/* What a value is. A map (ZipMap) is one at the border of a graph: in memory it is the tensor of
 * its scores, a row each. */
typedef enum kata_kind {
    KATA_KIND_TENSOR = 0,
    KATA_KIND_SEQUENCE, /* of tensors of the type's dtype; rank -1: of different ranks, or not known
                         */
    KATA_KIND_OPTIONAL, /* a tensor, or nothing */
    KATA_KIND_OPTIONAL_SEQUENCE,
    KATA_KIND_MAPS_OF_STRINGS, /* a sequence of maps from text to number */
    KATA_KIND_MAPS_OF_INTS     /* the same from whole numbers */
} kata_kind;
KATA_API const char *kata_kind_name(kata_kind kind); /* "tensor" */

/* The dtype of an operand that is a sequence: its elements are kata_tensor. No dtype of tensors. */
#define KATA_TENSORS ((kata_dtype)(KATA_DTYPE_COUNT + 1))

typedef struct kata_type {
    kata_dtype dtype; /* KATA_NO_DTYPE: an absent optional input */
    kata_shape shape; /* sizes may be KATA_UNKNOWN_DIM */
    kata_kind kind;
} kata_type;

/* Subgraphs (If, Loop, Scan). A node holds them as attributes: attributes[k].graph. Such a graph
 * has inputs and outputs, which the operator's meaning fills and reads, and may use values of the
 * graph around it. These are captured: the node lists them behind its own inputs, each once for all
 * its subgraphs, so that whatever looks at a node sees all that it reads. In kata_infer, kata_call
 * and kata_gradient they are the last n_captured of n_inputs. Which of them a subgraph reads, and
 * as which of its values, is asked with kata_graph_n_captures and kata_graph_capture_at
 * (kata/graph.h). */

/* What is known of the elements of an integer tensor of rank 0 or 1 that is no constant: a shape
 * that nodes take apart and put together again. */
typedef struct kata_elements {
    int n; /* all of the tensor's, at most KATA_MAX_RANK */
    bool is_open[KATA_MAX_RANK];
    int64_t value[KATA_MAX_RANK]; /* the number; is_open: the open size that it is, as in a shape */
} kata_elements;

/* What a shape rule sees, and where it writes outputs[0..n_outputs-1]. */
typedef struct kata_infer {
    const kata_op *op;
    const kata_attribute_value *attributes;
    int n_inputs, n_outputs;
    const kata_type *inputs;
    const kata_tensor *const *constants; /* constants[i]: the value of input i where it is known
                                            (a constant of the graph), else NULL */
    kata_type *outputs;
    int n_captured; /* of the inputs, the last ones: read by the node's subgraphs alone */
    const kata_elements *const *elements; /* elements[i]: what is known of input i, NULL: nothing */
} kata_infer;

/* What runs a node whose outputs have sizes that depend on data (kata_call_output). */
typedef struct kata_run kata_run;

/* What a kernel sees. All tensors are contiguous in row-major order; an absent optional input has
 * dtype KATA_NO_DTYPE. The kernel must write every element of every output, and may be called with
 * an output at the same address as an input if the row says so (`in_place`). */
typedef struct kata_call {
    const kata_op *op;
    kata_context *context; /* kernels may use its thread pool; they must not allocate */
    const kata_attribute_value *attributes;
    int n_inputs, n_outputs;
    const kata_tensor *inputs;
    kata_tensor *outputs;
    void *workspace; /* what row->workspace asked for, aligned to 64 bytes, not initialised */
    size_t workspace_bytes;
    void *per_thread_workspace; /* what row->per_thread_workspace asked for: worker w's is w
                                   per_thread_step bytes on */
    size_t per_thread_step;
    const void *random; /* kata_call_random: for nodes that draw random numbers */
    int n_captured;     /* of the inputs, the last ones: read by the node's subgraphs alone */
    kata_run *run;      /* of a node in the dynamic part of a session, else NULL */
    void *state;        /* what row->prepare made; NULL if there is none */
} kata_call;

/* Where a random node stands: (seed, step) of the run and the node's own stream. */
typedef struct kata_call_random {
    uint64_t seed, step;
    uint32_t stream;
} kata_call_random;

typedef kata_status (*kata_kernel)(const kata_call *call);

/* For rows with KATA_OP_DYNAMIC: makes output k, not initialised, and sets call->outputs[k].
 * KATA_LIMIT if there is no memory for it. */
KATA_API kata_status kata_call_output(const kata_call *call, int k, kata_dtype dtype,
                                      const kata_shape *shape);
/* For these, and for rows with KATA_OP_MAKES_STRINGS: memory of the run, aligned to 64 bytes, not
 * initialised, for scratch and for the bytes of strings; valid until the session's next run. NULL
 * and the error sentence set if there is none. */
KATA_API void *kata_call_memory(const kata_call *call, size_t n_bytes);

/* What a gradient rule sees: it adds nodes to `graph` (concrete shapes) and sets
 * input_gradients[i] for each i with needed[i]; KATA_NONE means the gradient is zero. */
typedef struct kata_gradient {
    kata_graph *graph;
    const kata_op *op;
    const kata_attribute_value *attributes;
    int n_inputs, n_outputs;
    const struct kata_value *inputs;
    const struct kata_value *outputs;
    const struct kata_value *output_gradients; /* none: that output does not reach the loss */
    const bool *needed;
    struct kata_value *input_gradients;
    int n_captured; /* of the inputs, the last ones: read by the node's subgraphs alone */
} kata_gradient;

/* What a row says about the samples of a batch: the batch axis of a value is the axis that carries
 * them. It has `size` equal blocks, and block i is a function of sample i alone, the same function
 * for each i; then a batch may be run in parts, filled up and cut. All shapes are concrete. */
#define KATA_BATCH_NONE (-1)  /* the same for all samples: made of weights and constants alone */
#define KATA_BATCH_MIXED (-2) /* samples mix, or nothing is known */
typedef struct kata_batch {
    const kata_op *op;
    const kata_attribute_value *attributes;
    int n_inputs, n_outputs;
    const kata_type *inputs, *outputs;
    const kata_tensor *const *constants; /* as in kata_infer */
    int64_t size;                        /* samples in the batch, at least 2 */
    const int *input_axes;               /* an axis or KATA_BATCH_NONE; at least one is an axis */
    int *output_axes;                    /* to be written; KATA_BATCH_MIXED before the call */
} kata_batch;
/* What row->bind sees when the graph of a batch is made: a node of the model's graph, to be put
 * into `graph`, in which `inputs` are values. It adds nodes under `name` and sets all outputs. */
typedef struct kata_binding {
    kata_graph *graph;
    const kata_op *op;
    const char *name;
    const kata_attribute_value *attributes;
    int n_inputs, n_outputs;
    const struct kata_value *inputs;
    struct kata_value *outputs;
    bool training; /* false: for inference */
} kata_binding;

/* How files of other operator sets write an operator. A list ends with a zeroed one. */
typedef enum kata_change_kind {
    KATA_CHANGE_END = 0,
    KATA_ATTRIBUTE_ADDED,    /* `attribute` is there from `opset` on; what an older set means is its
                                default (a list of default_int) */
    KATA_ATTRIBUTE_IGNORED,  /* a file may have `attribute`, which says nothing to this row */
    KATA_ATTRIBUTE_TO_INPUT, /* before `opset`, input `input` was the attribute `attribute` */
    KATA_INPUT_ADDED,        /* input `input` is there from `opset` on */
    KATA_STRINGS_ADDED,      /* input `input` may be of strings from `opset` on */
    KATA_OUTPUTS_COUNTED     /* from `opset` on, `attribute` is the number of outputs where input
                                `input` is absent */
} kata_change_kind;
typedef struct kata_op_change {
    kata_change_kind kind;
    int opset;
    const char *attribute;
    int input;
} kata_op_change;

/* What row->adapt sees when a file is read: a node as the file's operator set has it. It changes
 * inputs and attributes to what the row takes, in place (at most KATA_MAX_INPUTS and
 * KATA_MAX_ATTRIBUTES of them), or adds nodes itself, sets `outputs` and `is_done`. */
typedef struct kata_adaptation {
    kata_graph *graph; /* what stands before the node is in it already */
    const kata_op *op;
    int64_t opset; /* version of the row's domain in the file */
    const char *name;
    int n_inputs, n_outputs, n_attributes;
    struct kata_value *inputs, *outputs;
    struct kata_attribute *attributes;
    /* Of output k: the file names it; a node reads it or it is one of the model's. */
    const bool *is_named, *is_used;
    bool is_done;
} kata_adaptation;

enum kata_op_flags {
    KATA_OP_ELEMENTWISE = 1, /* output element i depends on input elements i alone (broadcast) */
    KATA_OP_VIEW = 2,        /* output 0 is input 0's memory with another shape; never executed */
    KATA_OP_RANDOM = 4,      /* draws random numbers: call->random is set */
    KATA_OP_UPDATE = 8,      /* output k is input k written in place for k < n_outputs (optimiser
                                steps, running statistics); input k must be a variable */
    KATA_OP_INTERNAL = 16,   /* made by passes (gradients, fusions); never read from a file */
    KATA_OP_TYPE_ONLY = 32,  /* the outputs depend on the inputs' types alone (Shape, Size) */
    KATA_OP_DYNAMIC = 64,    /* the sizes of the outputs depend on data, or the node runs subgraphs:
                                the kernel (`reference`) makes its outputs by kata_call_output, in
                                the dynamic part of a session */
    KATA_OP_ANY_KIND = 128,  /* takes inputs that are no tensors; infer looks at their kinds */
    KATA_OP_MAKES_STRINGS = 256, /* with outputs of strings it needs kata_call_memory for their
                                    bytes, and so runs in the dynamic part */
    KATA_OP_IDENTITY = 512,      /* output 0 is input 0: kata_graph_simplify takes the node out */
    KATA_OP_MOVE = 1024,  /* output 0 has the elements of input 0, each once, in another order or
                             shape, whatever their type is */
    KATA_OP_SCALES = 2048 /* inputs may be of any magnitude: they are scaled, looked up or
                             converted, so that raw pixels are no mistake */
};

struct kata_op {
    const char *name;   /* "Conv" */
    const char *domain; /* "" is ai.onnx; "kata" for Kata's own */
    int since;          /* first opset version whose nodes can be read (`changes`, `adapt`) */
    int min_inputs, max_inputs, min_outputs, max_outputs;
    const kata_attribute_spec *attributes; /* NULL: none */
    kata_status (*infer)(kata_infer *infer);
    /* Scratch bytes for concrete types; NULL: none. */
    size_t (*workspace)(const kata_call *call);
    /* More of them for each worker thread of the context, at the same place for all nodes of a
     * session; NULL: none. */
    size_t (*per_thread_workspace)(const kata_call *call);
    kata_kernel reference; /* plain loops, every dtype that infer accepts; never NULL except VIEW */
    /* The best kernel for this call on this context's instruction set, or NULL for the reference.
     * Asked once when a plan is made; data pointers may still be NULL then. */
    kata_kernel (*choose)(const kata_call *call);
    kata_status (*gradient)(kata_gradient *gradient); /* NULL: not differentiable */
    double (*flops)(const kata_call *call); /* floating-point operations of a call; NULL: one for
                                               each element of output 0 (0 for VIEW) */
    uint32_t flags;
    uint32_t in_place; /* bit i: output 0 may be written over input i if sizes and dtypes agree */
    double tolerance;  /* relative, float32 kernel against reference */
    const char *doc;
    /* Of rows with subgraphs: the types of the inputs of the one that is attribute `attribute`,
     * from those of the node. infer->outputs[0..n_outputs-1] are these types, as the subgraph has
     * declared them. Asked before the node is there (attributes of kind GRAPH are still absent),
     * when a file is read and when a graph is copied. NULL: as declared. */
    kata_status (*infer_subgraph)(kata_infer *infer, int attribute);
    /* Where the batch axis of each output is; NULL: ELEMENTWISE and VIEW rows by what these flags
     * promise, others mix samples. */
    void (*batch)(kata_batch *batch);

    /* What stands in a bound graph in place of the node; NULL: the node. */
    kata_status (*bind)(kata_binding *binding);
    /* True if output 0 is input i times a number that is known, in the same shape and with the same
     * rounding: sets *factor. NULL: never. */
    bool (*scale)(const kata_infer *infer, int i, double *factor);
    /* What is known of the elements of output 0, whose type infer->outputs[0] is. False: nothing.
     * NULL: never anything. */
    bool (*elements)(const kata_infer *infer, kata_elements *elements);
    /* State that is made once for a plan, not at each call: packed weights, tables. Inputs that are
     * constants of the graph have data, all others NULL. What *state points to is given to each
     * call and to `choose`; it is never written again, so that calls of several threads may share
     * it. NULL is no state. It is freed with the plan. */
    kata_status (*prepare)(const kata_call *call, void **state);
    void (*free)(kata_context *context, void *state);
    /* In a model file of another producer, float numbers are weights, which train, unless they are
     * such an input. Bit i: input i is a state that does not train (a running statistic), or a
     * constant (a limit, a ratio, a shape). */
    uint64_t state_inputs, constant_inputs;
    const kata_op_change *changes; /* NULL: none */
    /* For nodes of operator sets before adapt_before, after `changes`; NULL: nothing to do. */
    kata_status (*adapt)(kata_adaptation *adaptation);
    int adapt_before;
};

/* Adds a row of your own to a context, which copies it, its lists and its texts. KATA_INVALID says
 * what is wrong with it or that the name is taken. */
KATA_API kata_status kata_op_register_sized(kata_context *context, const kata_op *row,
                                            size_t row_bytes, size_t attribute_bytes,
                                            size_t change_bytes);
/* The sizes are those of the header that the caller was compiled with: a program that knows fewer
 * members than the library has 0 in the others. */
static inline kata_status kata_op_register(kata_context *context, const kata_op *row) {
    return kata_op_register_sized(context, row, sizeof(kata_op), sizeof(kata_attribute_spec),
                                  sizeof(kata_op_change));
}

/* The row of "Conv" or "kata:ConvGradWeight"; NULL if unknown. */
KATA_API const kata_op *kata_op_find(const kata_context *context, const char *name);

/* The library's own rows, in the table's order. */
KATA_API int kata_op_count(void);
KATA_API const kata_op *kata_op_at(int i);

#ifdef __cplusplus
}
#endif
#endif
