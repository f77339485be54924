/* Every row of the operator table has a test case, a line of documentation and what it needs to
 * run. A row without a case here is a row whose gradient nobody checks. */
#include "op/harness.h"
#include "op/cases_a.h"
#include "op/cases_arrange.h"
#include "op/cases_einsum.h"
#include "op/dynamic_rows.h"
#include "op/cases_index.h"
#include "op/cases_integer.h"
#include "op/cases_ml.h"
#include "op/cases_nhwc.h"
#include "op/cases_recurrent.h"
#include "op/cases_resize.h"
#include "op/cases_sort.h"
#if __has_include("op/cases_b.h")
#include "op/cases_b.h"
#endif

typedef struct list {
    const kata_test_case *cases;
    size_t n;
} list;

#define LIST(cases)                                                                                \
    { cases, sizeof(cases) / sizeof(cases)[0] }
static const list lists[] = {
    LIST(cases_math),  LIST(cases_arithmetic), LIST(cases_logic),    LIST(cases_reduce),
    LIST(cases_shape), LIST(cases_move),       LIST(cases_generate), LIST(cases_nhwc),
    LIST(cases_index), LIST(cases_integer),    LIST(cases_sort),     LIST(cases_resize),
    LIST(cases_ml),    LIST(cases_recurrent),  LIST(cases_einsum),   LIST(cases_arrange),
#if __has_include("op/cases_b.h")
    LIST(cases_b),
#endif
};

/* "Conv", "kata:Assign". */
static void full_name(const kata_op *row, char *name, size_t size) {
    bool own = row->domain != NULL && row->domain[0] != '\0';
    snprintf(name, size, "%s%s%s", own ? row->domain : "", own ? ":" : "", row->name);
}

static int count_cases(const char *name) {
    int n = 0;
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        for (size_t i = 0; i < lists[k].n; i++) {
            n += strcmp(lists[k].cases[i].op, name) == 0 && lists[k].cases[i].status == KATA_OK;
        }
    }
    for (size_t k = 0; k < sizeof dynamic_rows / sizeof dynamic_rows[0]; k++) {
        n += strcmp(dynamic_rows[k], name) == 0;
    }
    return n;
}

static void test_every_row_has_a_case(void **state) {
    (void)state;
    int missing = 0;
    for (int i = 0; i < kata_op_count(); i++) {
        char name[128];
        full_name(kata_op_at(i), name, sizeof name);
        if (count_cases(name) == 0) {
            print_error("no case for %s\n", name);
            missing++;
        }
    }
    assert_int_equal(missing, 0);
}

static void test_every_row_is_whole(void **state) {
    (void)state;
    int faults = 0;
    for (int i = 0; i < kata_op_count(); i++) {
        const kata_op *row = kata_op_at(i);
        bool is_view = row->flags & KATA_OP_VIEW, is_internal = row->flags & KATA_OP_INTERNAL;
        const char *fault =
            row->doc == NULL || row->doc[0] == '\0' ? "no doc line"
            : row->since < 1                        ? "no opset version"
            : row->infer == NULL                    ? "no shape rule"
            : row->reference == NULL && !is_view    ? "no reference kernel"
            : row->tolerance < 0                    ? "a negative tolerance"
            : row->max_inputs > KATA_MAX_INPUTS || row->min_inputs > row->max_inputs ||
                    row->min_outputs < 1 || row->max_outputs < row->min_outputs
                ? "wrong numbers of inputs or outputs"
            : is_internal && strcmp(row->domain, "kata") != 0 ? "internal, but not of domain kata"
                                                              : NULL;
        if (fault != NULL) {
            print_error("%s: %s\n", row->name, fault);
            faults++;
        }
        for (int k = 0; row->attributes != NULL && row->attributes[k].name != NULL; k++) {
            if (row->attributes[k].doc == NULL || row->attributes[k].doc[0] == '\0') {
                print_error("%s: attribute %s has no doc line\n", row->name,
                            row->attributes[k].name);
                faults++;
            }
        }
    }
    assert_int_equal(faults, 0);
}

static void test_names_are_unique_and_found(void **state) {
    (void)state;
    for (int i = 0; i < kata_op_count(); i++) {
        char name[128];
        full_name(kata_op_at(i), name, sizeof name);
        assert_ptr_equal(kata_op_find(NULL, name), kata_op_at(i));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_has_a_case),
        cmocka_unit_test(test_every_row_is_whole),
        cmocka_unit_test(test_names_are_unique_and_found),
    };
    return cmocka_run_group_tests_name("op_table", tests, NULL, NULL);
}
