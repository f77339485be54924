/* What is likely to spoil a training, said before or while it runs. */
#include <inttypes.h>
#include <math.h>

#include "base/check.h"
#include "train/run.h"

/* Inputs such as raw 0..255 pixels or yen slow learning or stop it; a model that scales them first
 * is fine. */
void kata__warn_unscaled(const kata__run *run) {
    const kata_graph *graph = run->trainer->model->graph;
    for (int k = 0; run->train != NULL && k < run->train->n_inputs; k++) {
        bool scaled = false;
        for (size_t i = 0; i < graph->n_nodes; i++) {
            const kata__node *node = &graph->nodes[i];
            for (int j = 0; j < node->n_inputs && !node->removed; j++) {
                scaled = scaled || (node->inputs[j].id == graph->inputs[k].id &&
                                    (node->op->flags & KATA_OP_SCALES) != 0);
            }
        }
        const kata_tensor *x = &run->train->inputs[k];
        int64_t n = kata_tensor_count(x), step = n > 100000 ? n / 100000 : 1;
        double largest = 0;
        for (int64_t i = 0; i < n && !scaled; i += step) {
            largest = fmax(largest, fabs(kata_load(x->dtype, x->data, i)));
        }
        if (largest > 20) {
            kata_log(run->trainer->model->context, KATA_LOG_WARNING,
                     "the inputs look unscaled (numbers up to %g); learning may be slow or fail: "
                     "scale them to about -1..1 (kata_rescale, or --normalize)",
                     largest);
        }
    }
}

/* A classifier whose loss after an epoch is that of always answering with the classes' shares has
 * learnt nothing: entropy of the shares = -sum p log p. */
void kata__warn_constant(const kata__run *run, double loss) {
    const kata_dataset *d = run->train;
    if (run->trainer->outputs[0].loss != KATA_SOFTMAX_CROSS_ENTROPY || run->trainer->n_raw > 1 ||
        d == NULL || d->n_classes < 2 || d->n_classes > 4096 ||
        kata_dtype_is_float(d->targets[0].dtype) || run->trainer->options.label_smoothing > 0 ||
        run->trainer->options.n_class_weights > 0) {
        return;
    }
    double entropy = 0;
    for (int c = 0; c < d->n_classes; c++) {
        int64_t count = 0;
        for (int64_t i = 0; i < d->n; i++) {
            count += kata_load(d->targets[0].dtype, d->targets[0].data, i) == (double)c;
        }
        double p = (double)count / (double)d->n;
        entropy -= p > 0 ? p * log(p) : 0;
    }
    if (fabs(loss - entropy) < 0.01 * entropy) {
        kata_log(run->trainer->model->context, KATA_LOG_WARNING,
                 "epoch %" PRId64 ": the loss %.4f is that of always answering with the classes' "
                 "shares (%.4f): nothing was learnt; try another learning rate or initial weights",
                 run->epoch, loss, entropy);
    }
}

/* A batch whose samples give one number a channel has variance 0: what is learnt is noise, and the
 * running variance ends near 0. */
kata_status kata__check_batch_norm(const kata__run *run) {
    const kata_graph *graph = run->trainer->model->graph;
    const int64_t rest = run->n % run->batch;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const kata__node *node = &graph->nodes[i];
        if (node->removed || node->op->state_inputs == 0) { /* no running statistics */
            continue;
        }
        const kata_shape *shape = &graph->values[node->inputs[0].id].type.shape;
        int64_t area = 1; /* numbers a channel of one sample */
        for (int k = 2; k < shape->rank; k++) {
            area *= shape->dim[k];
        }
        if (area == 1 && run->batch == 1) {
            return kata_fail(KATA_INVALID,
                             "%s is a %s of one number a channel and sample, which "
                             "learns nothing from batches of 1 (their variance is 0): take larger "
                             "batches, or LayerNormalization",
                             node->name, node->op->name);
        }
        if (area == 1 && rest == 1) {
            kata_log(graph->context, KATA_LOG_WARNING,
                     "the last batch of each epoch has 1 of %" PRId64 " samples, of which the "
                     "%s %s can learn nothing (its variance is 0): take a batch "
                     "size other than %" PRId64,
                     run->n, node->op->name, node->name, run->batch);
            return KATA_OK;
        }
    }
    return KATA_OK;
}

void kata__warn_one_class(const kata__run *run) {
    const kata_dataset *d = run->train;
    if (d == NULL || d->n_targets == 0 || d->n_classes < 1 ||
        kata_dtype_is_float(d->targets[0].dtype)) {
        return;
    }
    const double first = kata_load(d->targets[0].dtype, d->targets[0].data, 0);
    for (int64_t i = 1; i < d->n; i++) {
        if (kata_load(d->targets[0].dtype, d->targets[0].data, i) != first) {
            return;
        }
    }
    kata_log(run->trainer->model->context, KATA_LOG_WARNING,
             "%s: all %" PRId64 " samples have the label %g: the model will learn to give this "
             "answer always; add samples of other classes",
             d->name, d->n, first);
}
