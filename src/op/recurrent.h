/* Recurrent layers, shared by their rows: RNN, GRU and LSTM as ONNX has them. What one call is
 * about, and the plain loops that compute it and its gradient.
 *
 *     T steps, N sequences, I inputs, H units, D directions (1 or 2), G gates (RNN 1, GRU 3, LSTM
 * 4) X (T,N,I)  W (D,GH,I)  R (D,GH,H)  B (D,2GH)  lengths (N)  initial_h, initial_c (D,N,H) P
 * (D,3H): LSTM's peepholes, in the order i o f Y (T,D,N,H)  Y_h, Y_c (D,N,H)
 *
 * With layout 1 the sequences come first: X (N,T,I), Y (N,T,D,H), initial_h and Y_h (N,D,H). */
#ifndef KATA_OP_RECURRENT_H
#define KATA_OP_RECURRENT_H

#include <kata/op.h>

typedef enum kata__cell { KATA__RNN, KATA__GRU, KATA__LSTM } kata__cell;

/* Activation functions; alpha and beta are parameters of some. */
typedef struct kata__activation {
    int kind;
    bool has_alpha, has_beta;
    double alpha, beta;
} kata__activation;

typedef struct kata__recurrent {
    kata__cell cell;
    int64_t steps, n, inputs, units;
    int directions, gates;
    int n_saved;                     /* numbers kept for a unit and step: kata__saved_of */
    bool reverse;                    /* one direction, from the last step to the first */
    bool sequences_first;            /* layout 1 */
    bool input_forget;               /* LSTM: f = 1 - i */
    bool linear_before_reset;        /* GRU */
    double clip;                     /* bound of what goes into an activation; 0: none */
    kata__activation activations[6]; /* 1, 2 or 3 of each direction */
} kata__recurrent;

/* The operands as doubles; what is absent is NULL. Gradients have the shapes of what they are of.
 */
typedef struct kata__recurrent_data {
    const double *x, *w, *r, *b, *h0, *c0, *p;
    const int64_t *lengths; /* NULL: all steps */
    double *y, *y_h, *y_c;
    double *saved; /* (D,N,T,n_saved,H): what the gradient needs of each step */
    const double *dy, *dy_h, *dy_c;
    double *dx, *dw, *dr, *db, *dh0, *dc0, *dp; /* zeroed by the caller */
    double *scratch;                            /* kata__recurrent_scratch doubles */
} kata__recurrent_data;

/* The activation of this name (case does not matter), with its default parameters; false if there
 * is none. */
bool kata__activation_find(const char *name, kata__activation *out);
double kata__activation_run(const kata__activation *activation, double x);

int64_t kata__recurrent_scratch(const kata__recurrent *rnn);
void kata__recurrent_forward(const kata__recurrent *rnn, const kata__recurrent_data *data);
/* `saved` and y are those of the forward run. */
void kata__recurrent_backward(const kata__recurrent *rnn, const kata__recurrent_data *data);

#endif
