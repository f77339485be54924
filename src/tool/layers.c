/* The layers of a project file: one table from keys to the members of kata_layer. */
#include "tool/settings.h"

#include <math.h>

#include "base/check.h"

_Static_assert(sizeof(kata_layer_type) == sizeof(int), "a CHOICE is an int");
_Static_assert(sizeof(kata_activation) == sizeof(int), "a CHOICE is an int");

static const char *type_choice(int i) {
    return kata_layer_name((kata_layer_type)i);
}

static const char *activation_choice(int i) {
    return kata_activation_name((kata_activation)i);
}

static const char *initializer_choice(int i) {
    static const char *const names[] = {"default", "zeros",  "constant", "normal",
                                        "uniform", "xavier", "glorot",   "he"};
    return i >= 0 && i < (int)KATA__COUNT(names) ? names[i] : NULL;
}

#define LAYER(member, kind, low, high)                                                             \
    {                                                                                              \
        .name = #member, .type = KATA__OPTION_##kind, .section = "",                               \
        .offset = offsetof(kata__layer_entry, layer.member), .minimum = (low), .maximum = (high),  \
        .zero = ""                                                                                 \
    }
#define PAIR(member, low)                                                                          \
    {                                                                                              \
        .name = #member, .type = KATA__OPTION_INTEGERS, .section = "", .limit = 2,                 \
        .offset = offsetof(kata__layer_entry, layer.member), .minimum = (low), .maximum = 1e6,     \
        .zero = ""                                                                                 \
    }
const kata__option kata__layer_options[] = {
    {.name = "type",
     .type = KATA__OPTION_CHOICE,
     .section = "",
     .offset = offsetof(kata__layer_entry, layer.type),
     .choice = type_choice},
    LAYER(name, TEXT, 0, 0),
    LAYER(weights_of, TEXT, 0, 0),
    LAYER(units, INTEGER, 1, 1e7),
    LAYER(filters, INTEGER, 1, 1e6),
    PAIR(kernel, 1),
    PAIR(size, 1),
    PAIR(stride, 1),
    PAIR(pad, 0),
    PAIR(dilation, 1),
    LAYER(groups, INTEGER, 1, 1e6),
    LAYER(same, FLAG, 0, 0),
    LAYER(floor, FLAG, 0, 0),
    LAYER(no_bias, FLAG, 0, 0),
    {.name = "activation",
     .type = KATA__OPTION_CHOICE,
     .section = "",
     .offset = offsetof(kata__layer_entry, layer.activation),
     .choice = activation_choice,
     .zero = ""},
    LAYER(alpha, NUMBER, 0, 1e6),
    {.name = "initializer",
     .type = KATA__OPTION_CHOICE,
     .section = "",
     .offset = offsetof(kata__layer_entry, initializer),
     .choice = initializer_choice,
     .zero = ""},
    {.name = "initializer_value",
     .type = KATA__OPTION_NUMBER,
     .section = "",
     .offset = offsetof(kata__layer_entry, initializer_value),
     .minimum = -1e9,
     .maximum = 1e9,
     .zero = ""},
    LAYER(l1, NUMBER, 0, 1e6),
    LAYER(l2, NUMBER, 0, 1e6),
    LAYER(frozen, FLAG, 0, 0),
    LAYER(rate, NUMBER, 0, 0.999999),
    LAYER(epsilon, NUMBER, 0, 1),
    LAYER(momentum, NUMBER, 0, 1),
    {.name = "shape",
     .type = KATA__OPTION_INTEGERS,
     .section = "",
     .offset = offsetof(kata__layer_entry, layer.shape),
     .limit = 7,
     .minimum = -1,
     .maximum = 1e9,
     .zero = ""},
    LAYER(scale, NUMBER, 0, 0),
    LAYER(offset, NUMBER, 0, 0),
    {.name = NULL}};

kata_value kata__layers_add(kata_model *model, kata_value x, const kata__layer_entry *layers,
                            int n_layers) {
    for (int i = 0; i < n_layers; i++) {
        kata_layer layer = layers[i].layer;
        layer.initializer = (kata_initializer){(kata_initializer_kind)layers[i].initializer,
                                               layers[i].initializer_value};
        x = kata_layer_add(model, x, &layer);
    }
    return x;
}
