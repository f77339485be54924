/* Threads that have a chunk in work but no processor: telling that they have none, and giving them
 * one. For the pool; where the system has no such calls nothing is ever told or given. */
#ifndef KATA_BASE_PROCESSOR_H
#define KATA_BASE_PROCESSOR_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A thread of this process. */
typedef struct kata__thread {
    int number; /* the system's; 0: unknown */
    clockid_t clock;
} kata__thread;

/* The calling thread; a system call the first time only. */
kata__thread kata__thread_self(void);
/* The processor that the caller is on; -1: unknown. */
int kata__thread_processor(void);
/* Processor time of a thread so far; it stands while the thread does not run. 0: unknown. */
uint64_t kata__thread_ns(kata__thread thread);
/* Queues a thread that waits for a processor on the caller's own, where it runs as soon as the
 * caller leaves or sleeps. What processors it may use is as before. False if that cannot be done.
 */
bool kata__thread_bring(kata__thread thread);
/* Takes the calling thread to another processor than this, if it may use one. */
void kata__thread_leave(void);

#endif
