/* A training job: data, model and settings made ready and checked before anything is written,
 * trained, measured. `kata train` and `kata demo` are made of it. */
#ifndef KATA_TOOL_JOB_H
#define KATA_TOOL_JOB_H

#include "tool/run.h"
#include "tool/settings.h"
#include "tool/source.h"

typedef struct kata__job {
    kata__tool *tool;
    kata__settings settings;
    bool resume;
    bool extend;          /* the resumed run goes on to another end */
    bool normalize_given; /* --normalize on the command line, not the default */
    kata_data data;
    kata_dataset *part, *held_back; /* of a validation split, owned */
    const kata_dataset *train, *validation;
    const kata_dataset *measured; /* what the final figures are of */
    const char *measured_name;    /* "test", "validation" or "training" */
    kata_model *model;
    const char *model_name;
    const kata_loss *loss;
    kata__run_folder run;
    int64_t batches, epochs, steps_total;
    double seconds; /* of kata_fit in this sitting */
    kata_evaluation evaluation;
} kata__job;

/* Opens data, builds and compiles the model; resolves settings so that kata__project_write tells
 * all. Writes nothing. */
kata_status kata__job_prepare(kata__job *job);
/* The folder of the run with the effective project in it. */
kata_status kata__job_open(kata__job *job);
/* The lines that begin a training. */
void kata__job_introduce(const kata__job *job);
/* Trains with progress, measures, writes the model and the report. */
kata_status kata__job_train(kata__job *job);
kata_status kata__job_finish(kata__job *job);
void kata__job_free(kata__job *job);

#endif
