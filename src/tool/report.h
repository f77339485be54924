/* report.html of a run. */
#ifndef KATA_TOOL_REPORT_H
#define KATA_TOOL_REPORT_H

#include "tool/job.h"
#include "tool/measure.h"

kata_status kata__report_write(const kata__job *job, const kata__history_row *rows, int64_t n_rows);

#endif
