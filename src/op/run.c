/* What rows of a session's dynamic part call to make their outputs. */
#include "op/run.h"

#include "base/check.h"

void *kata_call_memory(const kata_call *call, size_t n_bytes) {
    if (call->run == NULL) {
        kata_fail(KATA_INVALID, "%s runs in a session alone: it makes memory as it goes",
                  call->op->name);
        return NULL;
    }
    return call->run->memory(call->run, n_bytes);
}

kata_status kata_call_output(const kata_call *call, int k, kata_dtype dtype,
                             const kata_shape *shape) {
    char text[KATA_SHAPE_TEXT_SIZE];
    const size_t size = dtype == KATA_TENSORS ? sizeof(kata_tensor) : kata_dtype_size(dtype);
    const int64_t count = kata_shape_count(shape);
    int64_t n_bytes;
    if (count < 0 || __builtin_mul_overflow(count, (int64_t)size, &n_bytes)) {
        return kata_fail(KATA_LIMIT, "%s: output %d of shape %s has too many elements",
                         call->op->name, k, kata_shape_text(shape, text));
    }
    void *data = kata_call_memory(call, (size_t)n_bytes);
    if (data == NULL) {
        return kata_fail_in(kata__run_fault(call), "%s: output %d of shape %s", call->op->name, k,
                            kata_shape_text(shape, text));
    }
    call->outputs[k] = kata_tensor_view(data, dtype, shape);
    return KATA_OK;
}
