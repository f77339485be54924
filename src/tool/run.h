/* The folder of a run: model.onnx, checkpoint.safetensors, history.jsonl, report.html, kata.yaml.
 */
#ifndef KATA_TOOL_RUN_H
#define KATA_TOOL_RUN_H

#include "tool/tool.h"

typedef struct kata__run_folder {
    const char *path, *model, *checkpoint, *history, *report, *project;
    int lock; /* of the folder; -1: none */
} kata__run_folder;

/* Makes the folder `given`, or runs/NAME-N with the first N that is free if it is NULL. A folder
 * that holds something is an error. */
kata_status kata__run_create(kata__tool *tool, kata__run_folder *out, const char *given,
                             const char *name);
/* The folder of a run that was begun. */
kata_status kata__run_open(kata__tool *tool, kata__run_folder *out, const char *path);
/* Two programs must not train in one folder. Released by kata__run_close. */
kata_status kata__run_lock(kata__run_folder *run);
void kata__run_close(kata__run_folder *run);

/* One line of history.jsonl; numbers that are not there are NaN. */
typedef struct kata__history_row {
    double epoch, loss, figure, val_loss, val_figure, lr, seconds;
} kata__history_row;
/* Reads a run's history (of the arena). A file that is not there has no rows. */
kata_status kata__run_history(kata__tool *tool, const char *path, kata__history_row **rows,
                              int64_t *n_rows);

#endif
