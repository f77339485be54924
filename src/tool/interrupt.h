/* Ctrl-C: the first asks a long job to stop in order, the second stops at once. */
#ifndef KATA_TOOL_INTERRUPT_H
#define KATA_TOOL_INTERRUPT_H

/* From here on SIGINT and SIGTERM set *flag; the second ends the program with status 130. */
const volatile int *kata__interrupt_begin(void);
/* The system's own ways again. */
void kata__interrupt_end(void);

#endif
