/* What the rooms above need of a session beside its public face. */
#ifndef KATA_EXEC_SESSION_H
#define KATA_EXEC_SESSION_H

#include <kata/exec.h>

#include "exec/prepared.h"

/* From here on the session reads input i of its graph (0 <= i < the number of inputs) at `data`:
 * contiguous numbers of the input's dtype and shape, lent, which no run writes; NULL: in the
 * session's own memory again. kata_session_input gives the memory that is read. */
void kata__session_borrow(kata_session *session, int i, const void *data);

/* kata_session_new, with the prepared weights of `prepared`, which other sessions read too; NULL:
 * in its own memory. */
kata_status kata__session_new(kata_session **out, const kata_graph *graph,
                              const kata_session_options *options, kata__prepared *prepared);

#endif
