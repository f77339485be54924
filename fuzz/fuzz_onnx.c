/* Fuzzes the ONNX reader, and the writer with what was read: written, read and written again it
 * must be the same bytes. */
#include "base/buffer.h"
#include "format/onnx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    kata_context *context = kata_context_default();
    kata_graph *graph = NULL, *again = NULL;
    if (context == NULL ||
        kata_onnx_read_memory(&graph, context, data, n_bytes, "fuzz") != KATA_OK) {
        return 0;
    }
    kata__buffer first, second;
    kata__buffer_init(&first, context, KATA__PROTO_MAXIMUM);
    kata__buffer_init(&second, context, KATA__PROTO_MAXIMUM);
    if (kata__onnx_encode(&first, graph) == KATA_OK) {
        if (kata_onnx_read_memory(&again, context, first.data, first.size, "again") != KATA_OK ||
            kata__onnx_encode(&second, again) != KATA_OK || first.size != second.size ||
            memcmp(first.data, second.data, first.size) != 0) {
            fprintf(stderr, "what was written is not read as it was: %s\n", kata_error_message());
            abort();
        }
    }
    kata__buffer_free(&first);
    kata__buffer_free(&second);
    kata_graph_free(again);
    kata_graph_free(graph);
    return 0;
}
