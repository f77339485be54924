/* One ONNX tensor in a file of its own, as the ONNX project's tests and its tools keep inputs and
 * outputs of models. */
#include "format/onnx.h"

#include "base/check.h"
#include "base/file.h"

static kata_status read_tensor(kata_tensor *out, kata__onnx_model *model, const void *data,
                               size_t n_bytes) {
    kata__onnx_tensor tensor;
    KATA__TRY(kata__onnx_parse_tensor(model, data, n_bytes, &tensor));
    return kata__onnx_tensor_new(out, model->arena.context, &tensor);
}

kata_status kata_onnx_tensor_read_memory(kata_tensor *out, kata_context *context, const void *data,
                                         size_t n_bytes, const char *name) {
    kata__onnx_model model = {.arena.context = context};
    kata_status status = n_bytes > KATA__PROTO_MAXIMUM
                             ? kata_fail(KATA_LIMIT, "a tensor's file has at most 2 GiB")
                             : read_tensor(out, &model, data, n_bytes);
    kata__arena_free(&model.arena);
    return status == KATA_OK
               ? KATA_OK
               : kata_fail_in(status, "cannot read %s", name != NULL ? name : "ONNX tensor");
}

kata_status kata_onnx_tensor_read(kata_tensor *out, kata_context *context, const char *path) {
    char *data = NULL;
    size_t n_bytes = 0;
    KATA__TRY(kata__file_read(context, path, KATA__PROTO_MAXIMUM, &data, &n_bytes));
    kata_status status = kata_onnx_tensor_read_memory(out, context, data, n_bytes, path);
    kata__free(context, data);
    return status;
}
