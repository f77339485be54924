/* Numbers of losses and optimisers: defaults, and what is given by name. */
#include "train/numbers.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

int kata__number_index(const kata_number_spec *list, const char *name) {
    for (int i = 0; list != NULL && list[i].name != NULL; i++) {
        if (strcmp(list[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

kata_status kata__numbers_default(const kata_number_spec *list, const char *owner,
                                  double out[KATA_MAX_NUMBERS]) {
    memset(out, 0, KATA_MAX_NUMBERS * sizeof *out);
    for (int i = 0; list != NULL && list[i].name != NULL; i++) {
        if (i == KATA_MAX_NUMBERS) {
            return kata_fail(KATA_LIMIT, "%s lists more than %d numbers", owner, KATA_MAX_NUMBERS);
        }
        out[i] = list[i].value;
    }
    return KATA_OK;
}

kata_status kata__number_check(const char *name, double value, double minimum, double maximum) {
    if (!(value >= minimum && value <= maximum)) {
        return kata_fail(KATA_INVALID, "%s must be a number from %g to %g, got %g", name, minimum,
                         maximum, value);
    }
    return KATA_OK;
}

kata_status kata__number_set(const kata_number_spec *list, const char *owner, const char *name,
                             double value, double out[KATA_MAX_NUMBERS]) {
    const int i = kata__number_index(list, name);
    if (i < 0) {
        char known[256] = "";
        for (int k = 0; list != NULL && list[k].name != NULL; k++) {
            const size_t used = strlen(known);
            snprintf(known + used, sizeof known - used, "%s%s", k > 0 ? ", " : "", list[k].name);
        }
        return kata_fail(KATA_INVALID, "%s has no number %s; it has %s", owner, name,
                         known[0] != '\0' ? known : "none");
    }
    KATA__TRY(kata__number_check(name, value, list[i].minimum, list[i].maximum));
    out[i] = value + 0.0;
    return KATA_OK;
}

kata_status kata__numbers_set(const kata_number_spec *list, const char *owner,
                              const kata_number given[KATA_MAX_NUMBERS],
                              double out[KATA_MAX_NUMBERS]) {
    for (int i = 0; i < KATA_MAX_NUMBERS && given[i].name != NULL; i++) {
        KATA__TRY(kata__number_set(list, owner, given[i].name, given[i].value, out));
    }
    return KATA_OK;
}
