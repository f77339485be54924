/* Prints docs/operators.md from the operator table: what the page says is what the library has.
 *
 *     BUILD/operators_doc > docs/operators.md
 */
#include <stdio.h>
#include <string.h>

#include <kata/op.h>

static const char *const attribute_types[] = {
    [KATA_ATTRIBUTE_INT] = "int",         [KATA_ATTRIBUTE_FLOAT] = "float",
    [KATA_ATTRIBUTE_STRING] = "string",   [KATA_ATTRIBUTE_INTS] = "ints",
    [KATA_ATTRIBUTE_FLOATS] = "floats",   [KATA_ATTRIBUTE_TENSOR] = "tensor",
    [KATA_ATTRIBUTE_STRINGS] = "strings", [KATA_ATTRIBUTE_GRAPH] = "graph"};
_Static_assert(sizeof attribute_types / sizeof attribute_types[0] == KATA_ATTRIBUTE_GRAPH + 1,
               "a kind of attributes has no word");

/* Text inside a table's cell: a bar would end the cell, a star begin emphasis. */
static void print_text(const char *text) {
    for (; *text != '\0'; text++) {
        if (strchr("|*_<>\\", *text) != NULL) {
            putchar('\\');
        }
        putchar(*text);
    }
}

static void print_count(int minimum, int maximum, int endless) {
    if (minimum == maximum) {
        printf("%d", minimum);
    } else if (maximum >= endless) {
        printf("%d or more", minimum);
    } else {
        printf("%d to %d", minimum, maximum);
    }
}

static void print_attribute(const kata_attribute_spec *a) {
    printf("`%s` (%s", a->name, attribute_types[a->type]);
    if (a->required) {
        printf(", required");
    } else if (a->type == KATA_ATTRIBUTE_INT) {
        printf(", %lld", (long long)a->default_int);
    } else if (a->type == KATA_ATTRIBUTE_FLOAT) {
        printf(", %.7g", a->default_float);
    } else if (a->type == KATA_ATTRIBUTE_STRING && a->default_string != NULL) {
        printf(", \"%s\"", a->default_string);
    }
    printf("): ");
    print_text(a->doc != NULL ? a->doc : "");
}

static void print_row(const kata_op *row) {
    printf("| %s | %d | ", row->name, row->since);
    print_count(row->min_inputs, row->max_inputs, KATA_MAX_INPUTS);
    printf(" | ");
    print_count(row->min_outputs, row->max_outputs, KATA_MAX_OUTPUTS);
    printf(" | ");
    for (int k = 0; row->attributes != NULL && row->attributes[k].name != NULL; k++) {
        printf("%s", k > 0 ? "<br>" : "");
        print_attribute(&row->attributes[k]);
    }
    printf(" | %s | ", row->gradient != NULL ? "yes" : "no");
    print_text(row->doc);
    printf(" |\n");
}

/* ai.onnx; ai.onnx.ml; Kata's own that a model may have; Kata's own that only passes make. */
typedef enum section { STANDARD, ML, OWN, INTERNAL, SECTIONS } section;

static section section_of(const kata_op *row) {
    return row->domain == NULL || row->domain[0] == '\0' ? STANDARD
           : strcmp(row->domain, "ai.onnx.ml") == 0      ? ML
           : (row->flags & KATA_OP_INTERNAL) != 0        ? INTERNAL
                                                         : OWN;
}

static void print_section(section wanted, const char *title, const char *about) {
    int n = 0;
    for (int i = 0; i < kata_op_count(); i++) {
        n += section_of(kata_op_at(i)) == wanted;
    }
    if (n == 0) {
        return;
    }
    printf("\n## %s (%d)\n\n%s\n\n", title, n, about);
    printf(
        "| operator | opset | inputs | outputs | attributes (type, default) | gradient | what it "
        "does |\n|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < kata_op_count(); i++) {
        if (section_of(kata_op_at(i)) == wanted) {
            print_row(kata_op_at(i));
        }
    }
}

int main(void) {
    printf("# Operators\n\n"
           "Made from the operator table (`src/op/rows.h`) by `docs/tools/operators.c`:\n\n"
           "    cmake --build build --target operators_doc && build/operators_doc > "
           "docs/operators.md\n\n");
    printf("\"opset\": the operator means what it means here since this version of the set.\n"
           "\"gradient\": the row has a gradient rule, which of steps, comparisons and shapes says "
           "zero. Training through an\noperator that has none fails with a message that names "
           "it. Each row is tested by its cases in `tests/op/cases_*.h`.\n");
    print_section(STANDARD, "ai.onnx", "ONNX names and semantics.");
    print_section(ML, "ai.onnx.ml",
                  "Tables: preparation and models, with ONNX's names and semantics.");
    print_section(OWN, "kata", "Kata's own, used as `kata:NAME`.");
    print_section(INTERNAL, "kata, made by passes",
                  "Made by differentiation and training; never in a file.");
    return 0;
}
