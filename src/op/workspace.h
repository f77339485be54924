/* A call's scratch, as kernels take it. */
#ifndef KATA_OP_WORKSPACE_H
#define KATA_OP_WORKSPACE_H

#include <kata/op.h>

#include "kernel/workspace.h"

static inline kata__workspace kata__call_workspace(const kata_call *call) {
    return (kata__workspace){call->workspace, call->per_thread_workspace, call->per_thread_step};
}

#endif
