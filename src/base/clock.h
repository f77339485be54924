/* Monotonic and wall time. */
#ifndef KATA_BASE_CLOCK_H
#define KATA_BASE_CLOCK_H

#include <stdint.h>

uint64_t kata__clock_ns(void);     /* monotonic */
int64_t kata__clock_unix_ms(void); /* since 1970; for reports, never for results */

#endif
