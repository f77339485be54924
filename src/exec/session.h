/* What the rooms above need of a session beside its public face. */
#ifndef KATA_EXEC_SESSION_H
#define KATA_EXEC_SESSION_H

#include <kata/exec.h>

/* From here on the session reads input i of its graph (0 <= i < the number of inputs) at `data`:
 * contiguous numbers of the input's dtype and shape, lent, which no run writes; NULL: in the
 * session's own memory again. kata_session_input gives the memory that is read. */
void kata__session_borrow(kata_session *session, int i, const void *data);

#endif
