/* ONNX, second step of reading: a node of the model's operator set -> a node of the row's. One
 * table says since when an operator means what it means today, another which attributes became
 * inputs later. An operator whose older meaning needs more than that is refused by name. */
#include "format/onnx.h"
#include "base/check.h"
#include "graph/graph.h"

#include <stdio.h>
#include <string.h>

/* A row's `since` is the version of the schema that it follows; later versions of a schema mostly
 * add data types, broadcasting of more shapes or attributes whose default is the old behaviour.
 * These are the first versions whose nodes, seen with today's defaults (and after
 * attribute_to_input), mean the same; 7 stands for "and before", the oldest set that is read.
 * From onnx/docs/Changelog.md. */
static const struct {
    int since;
    const char *ops; /* separated by blanks, one before the first and after the last */
} same_since[] = {
    {7, " Abs Acos Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast Ceil Clip "
        "Concat Constant Conv ConvTranspose Cos DepthToSpace Div Dropout Elu Equal Exp Flatten "
        "Floor GRU Gather Gemm GlobalAveragePool GlobalMaxPool Greater HardSigmoid Identity "
        "InstanceNormalization LRN LSTM LeakyRelu Less Log MatMul Max MaxPool Mean Min Mul Neg "
        "Not Or PRelu Pad Pow RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike "
        "Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
        "ReduceProd ReduceSum ReduceSumSquare Relu Reshape Selu Shape Sigmoid Sin Size Slice "
        "Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose "
        "Unsqueeze Xor "},
    {8, " Expand "},
    {9, " Acosh Asinh Atanh Compress ConstantOfShape Cosh EyeLike Erf IsNaN NonZero OneHot Sign "
        "Sinh Where "},
    {10, " DequantizeLinear IsInf Mod QuantizeLinear ThresholdedRelu "},
    {11, " CumSum Det GatherElements GatherND Range Resize Round ScatterElements ScatterND "},
    {12, " Celu Einsum GreaterOrEqual LessOrEqual NegativeLogLikelihoodLoss "
         "SoftmaxCrossEntropyLoss "},
};

/* Attributes that became inputs with version `until`. */
static const struct {
    const char *op;
    int until;
    const char *attribute;
    int input;
} attribute_to_input[] = {
    {"Clip", 11, "min", 1},
    {"Clip", 11, "max", 2},
    {"Dropout", 12, "ratio", 1},
    {"Pad", 11, "pads", 1},
    {"Pad", 11, "value", 2},
    {"ReduceL1", 18, "axes", 1},
    {"ReduceL2", 18, "axes", 1},
    {"ReduceLogSum", 18, "axes", 1},
    {"ReduceLogSumExp", 18, "axes", 1},
    {"ReduceMax", 18, "axes", 1},
    {"ReduceMean", 18, "axes", 1},
    {"ReduceMin", 18, "axes", 1},
    {"ReduceProd", 18, "axes", 1},
    {"ReduceSum", 13, "axes", 1},
    {"ReduceSumSquare", 18, "axes", 1},
    {"Slice", 10, "starts", 1},
    {"Slice", 10, "ends", 2},
    {"Slice", 10, "axes", 3},
    {"Split", 13, "split", 1},
    {"Squeeze", 13, "axes", 1},
    {"TopK", 10, "k", 1},
    {"Unsqueeze", 13, "axes", 1},
};

/* Attributes that say nothing to Kata if they have this value; ANY: whatever they say. */
#define ANY INT64_MIN
static const struct {
    const char *op, *attribute;
    int64_t value;
} without_meaning[] = {
    {"BatchNormalization", "spatial", 1}, /* until 8; the only behaviour since */
    {"Cast", "round_mode", ANY},          /* of 8-bit floats */
};

static int first_same(const kata_op *row) {
    char word[128];
    int length = snprintf(word, sizeof word, " %s ", row->name);
    for (size_t i = 0; i < KATA__COUNT(same_since); i++) {
        if (length > 0 && (size_t)length < sizeof word && strstr(same_since[i].ops, word) != NULL) {
            return same_since[i].since < row->since ? same_since[i].since : row->since;
        }
    }
    return row->since;
}

/* The attribute's value as a constant initialiser "OUTPUT/kata.ATTRIBUTE". */
static kata_status add_initializer(kata__onnx_model *model, const kata__onnx_node *node,
                                   const kata__onnx_attribute *attribute, const char **name) {
    if (attribute->type != KATA__ONNX_FLOAT && attribute->type != KATA__ONNX_INT &&
        attribute->type != KATA__ONNX_INTS) {
        return kata_fail(KATA_FORMAT, "attribute %.200s is of the wrong type", attribute->name);
    }
    bool is_float = attribute->type == KATA__ONNX_FLOAT;
    size_t count = attribute->type == KATA__ONNX_INTS ? (size_t)attribute->n : 1;
    kata__onnx_tensor tensor = {.dtype = is_float ? KATA_F32 : KATA_I64,
                                .n_bytes = count * (is_float ? sizeof(float) : sizeof(int64_t))};
    if (!is_float) {
        tensor.shape = (kata_shape){.rank = 1, .dim = {(int64_t)count}};
    }
    const void *from = is_float                             ? (const void *)&attribute->f
                       : attribute->type == KATA__ONNX_INTS ? (const void *)attribute->ints
                                                            : (const void *)&attribute->i;
    uint8_t *raw = kata__arena_alloc(&model->arena, tensor.n_bytes + 1, 1);
    size_t size = strlen(node->outputs[0]) + strlen(attribute->name) + sizeof "/kata.";
    char *text = kata__arena_alloc(&model->arena, size, 1);
    kata__onnx_tensor *initializers = kata__onnx_with_room(
        &model->arena, model->initializers, model->n_initializers, sizeof *initializers);
    if (raw == NULL || text == NULL || initializers == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    if (tensor.n_bytes > 0) {
        memcpy(raw, from, tensor.n_bytes);
    }
    snprintf(text, size, "%s/kata.%s", node->outputs[0], attribute->name);
    tensor.raw = raw;
    tensor.name = *name = text;
    initializers[model->n_initializers++] = tensor;
    model->initializers = initializers;
    return KATA_OK;
}

static kata_status move_attribute(kata__onnx_model *model, kata__onnx_node *node, int attribute,
                                  int input) {
    const char *name = NULL;
    KATA__TRY(add_initializer(model, node, &node->attributes[attribute], &name));
    int n_inputs = node->n_inputs > input + 1 ? node->n_inputs : input + 1;
    const char **inputs = kata__arena_alloc(&model->arena, (size_t)n_inputs, sizeof *inputs);
    if (inputs == NULL) {
        return KATA_OUT_OF_MEMORY;
    }
    for (int i = 0; i < n_inputs; i++) {
        inputs[i] = i < node->n_inputs ? node->inputs[i] : "";
    }
    if (inputs[input][0] != '\0') {
        return kata_fail(KATA_FORMAT, "it has %s as an attribute and as an input",
                         node->attributes[attribute].name);
    }
    inputs[input] = name;
    node->inputs = inputs;
    node->n_inputs = n_inputs;
    node->attributes[attribute] = node->attributes[--node->n_attributes];
    return KATA_OK;
}

static void drop_attributes(kata__onnx_node *node, const kata_op *row) {
    for (size_t i = 0; i < KATA__COUNT(without_meaning); i++) {
        for (int k = 0; k < node->n_attributes; k++) {
            const kata__onnx_attribute *attribute = &node->attributes[k];
            if (strcmp(row->name, without_meaning[i].op) == 0 &&
                strcmp(attribute->name, without_meaning[i].attribute) == 0 &&
                kata__op_attribute(row, attribute->name) < 0 &&
                (without_meaning[i].value == ANY || attribute->i == without_meaning[i].value)) {
                node->attributes[k] = node->attributes[--node->n_attributes];
                break;
            }
        }
    }
}

kata_status kata__onnx_adapt(kata__onnx_model *model, kata__onnx_node *node, const kata_op *row) {
    int64_t opset = kata__onnx_opset_of(model, node->domain);
    if (opset == 0) {
        return kata_fail(KATA_FORMAT, "the model does not import the operator set \"%.200s\"",
                         node->domain);
    }
    bool is_standard = node->domain[0] == '\0';
    if (opset < (is_standard ? first_same(row) : row->since)) {
        return kata_fail(KATA_UNSUPPORTED,
                         "%s of operator set %lld meant something else than since %d; convert the "
                         "model with onnx.version_converter to %d",
                         row->name, (long long)opset, row->since,
                         is_standard && row->since < KATA__ONNX_OPSET ? KATA__ONNX_OPSET
                                                                      : row->since);
    }
    if (is_standard) {
        drop_attributes(node, row);
    }
    for (size_t i = 0; is_standard && i < KATA__COUNT(attribute_to_input); i++) {
        if (opset >= attribute_to_input[i].until ||
            strcmp(row->name, attribute_to_input[i].op) != 0 ||
            kata__op_attribute(row, attribute_to_input[i].attribute) >= 0 ||
            row->max_inputs <= attribute_to_input[i].input) {
            continue;
        }
        for (int k = 0; k < node->n_attributes; k++) {
            if (strcmp(node->attributes[k].name, attribute_to_input[i].attribute) == 0) {
                KATA__TRY(move_attribute(model, node, k, attribute_to_input[i].input));
                break;
            }
        }
    }
    return KATA_OK;
}
