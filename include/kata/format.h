/* Kata, format room: ONNX, safetensors, npy. A file never makes the process abort; every fault is
 * one sentence with the file and the place. */
#ifndef KATA_FORMAT_H
#define KATA_FORMAT_H

#include <kata/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes the graph as an ONNX model (IR 8, opset 17 or what its operators need), atomically: the
 * old file stays if writing fails. Unknown sizes become the symbolic size "N". Trainable variables
 * and other state become initialisers; graph metadata becomes metadata_props. The same graph gives
 * the same bytes. */
KATA_API kata_status kata_onnx_write(const kata_graph *graph, const char *path);

/* Reads an ONNX model into a new graph. Float initialisers become variables (trainable where an
 * operator's weight), the others constants. At most 2 GiB. */
KATA_API kata_status kata_onnx_read(kata_graph **out, kata_context *context, const char *path);
KATA_API kata_status kata_onnx_read_memory(kata_graph **out, kata_context *context,
                                           const void *data, size_t n_bytes, const char *name);

/* Reads one tensor from a file that holds an ONNX TensorProto (".pb") into a new tensor, which the
 * caller releases. Data in another file is refused. */
KATA_API kata_status kata_onnx_tensor_read(kata_tensor *out, kata_context *context,
                                           const char *path);
KATA_API kata_status kata_onnx_tensor_read_memory(kata_tensor *out, kata_context *context,
                                                  const void *data, size_t n_bytes,
                                                  const char *name);

/* Tensors by name with text metadata: the safetensors format. */
typedef struct kata_text_pair {
    const char *key, *value;
} kata_text_pair;
KATA_API kata_status kata_safetensors_write(kata_context *context, const char *path,
                                            const kata_named_tensor *tensors, int n_tensors,
                                            const kata_text_pair *metadata, int n_metadata);
typedef struct kata_safetensors {
    int n_tensors, n_metadata;
    kata_named_tensor *tensors; /* views into the file's memory */
    kata_text_pair *metadata;
    kata_context *context;
    void *memory;
} kata_safetensors;
KATA_API kata_status kata_safetensors_read(kata_safetensors *out, kata_context *context,
                                           const char *path);
KATA_API void kata_safetensors_free(kata_safetensors *file);
KATA_API const kata_tensor *kata_safetensors_find(const kata_safetensors *file, const char *name);
KATA_API const char *kata_safetensors_metadata(const kata_safetensors *file, const char *key);

/* NumPy .npy (versions 1 to 3; C order, Fortran order converted; little-endian; no objects). */
KATA_API kata_status kata_npy_write(kata_context *context, const char *path,
                                    const kata_tensor *tensor);
KATA_API kata_status kata_npy_read(kata_tensor *out, kata_context *context, const char *path);
KATA_API kata_status kata_npy_read_memory(kata_tensor *out, kata_context *context, const void *data,
                                          size_t n_bytes, const char *name);

#ifdef __cplusplus
}
#endif
#endif
