/* Short forms for status handling. */
#ifndef KATA_BASE_CHECK_H
#define KATA_BASE_CHECK_H

#include <kata/base.h>

/* Returns the status of `expression` from the calling function unless it is KATA_OK. */
#define KATA__TRY(expression)                                                                      \
    do {                                                                                           \
        kata_status kata__try_status = (expression);                                               \
        if (kata__try_status != KATA_OK) {                                                         \
            return kata__try_status;                                                               \
        }                                                                                          \
    } while (0)

#define KATA__COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
