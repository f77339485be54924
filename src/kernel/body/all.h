/* The bodies in the order in which they build on each other; no include guard: once for each type.
 */
#include "kernel/body/tile.h"
#include "kernel/body/product.h"
#include "kernel/body/dot.h"
#include "kernel/body/gemm.h"
#include "kernel/body/few_rows.h"
#include "kernel/body/conv.h"
#include "kernel/body/pool.h"
#include "kernel/body/gemm_entry.h"
#include "kernel/body/elementwise_entry.h"
#include "kernel/body/peak.h"
#if REAL_BITS == 32
#include "kernel/body/window.h"
#include "kernel/body/conv_nhwc.h"
#include "kernel/body/conv_nhwc_weight.h"
#include "kernel/body/pool_nhwc.h"
#include "kernel/body/winograd.h"
#include "kernel/body/bfloat16.h"
#endif
