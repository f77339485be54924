/* Prepared weights (packed, transposed, rounded) that several sessions have in common. A value is
 * found by what it is computed from and how, so that plans of different batch sizes share it too.
 */
#ifndef KATA_EXEC_PREPARED_H
#define KATA_EXEC_PREPARED_H

#include <pthread.h>

#include "exec/plan.h"

typedef struct kata__prepared kata__prepared;

/* One value: all sessions that hold it read `data`. */
typedef struct kata__prepared_value {
    kata__prepared *of;
    uint8_t key[32];
    size_t n_bytes;
    void *data;
    int n_holders;
    bool is_made;
    uint64_t version; /* of the variables when it was made */
    struct kata__prepared_value *next;
} kata__prepared_value;

/* `variables` belongs to the graph that owns the weights and must outlive the store. */
kata_status kata__prepared_new(kata__prepared **out, const kata_graph *owner);
/* No session may hold a value any more. */
void kata__prepared_free(kata__prepared *prepared);

/* values[id] for each root value of the plan that is prepared, NULL for others; by value id. The
 * caller drops them. */
kata_status kata__prepared_hold(kata__prepared *prepared, const kata_graph *graph,
                                const kata__plan *plan, kata__prepared_value **values);
void kata__prepared_drop(kata__prepared *prepared, kata__prepared_value **values, size_t n);

/* The sum of the variables' versions: it grows with each change. */
uint64_t kata__prepared_version(const kata__prepared *prepared);
/* One session at a time makes values. */
void kata__prepared_lock(kata__prepared *prepared);
void kata__prepared_unlock(kata__prepared *prepared);
/* Bytes of all values. */
size_t kata__prepared_bytes(kata__prepared *prepared);

#endif
