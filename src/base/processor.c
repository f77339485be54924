/* Who has a processor, and moving a thread by its affinity mask (Linux). */
#include "base/processor.h"

#include <pthread.h>

#if defined(__linux__) && defined(_GNU_SOURCE)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

kata__thread kata__thread_self(void) {
    static _Thread_local kata__thread self;
    if (self.number == 0 && pthread_getcpuclockid(pthread_self(), &self.clock) == 0) {
        self.number = (int)syscall(SYS_gettid);
    }
    return self;
}

int kata__thread_processor(void) {
    return sched_getcpu();
}

uint64_t kata__thread_ns(kata__thread thread) {
    struct timespec now;
    if (thread.number == 0 || clock_gettime(thread.clock, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* A thread that waits is moved at once to the one processor it is let on; then it may go on using
 * all that it could before, but has no reason to move. */
bool kata__thread_bring(kata__thread thread) {
    cpu_set_t all, here;
    const int cpu = sched_getcpu();
    if (thread.number == 0 || cpu < 0 || cpu >= CPU_SETSIZE ||
        sched_getaffinity(thread.number, sizeof all, &all) != 0 || !CPU_ISSET(cpu, &all)) {
        return false;
    }
    CPU_ZERO(&here);
    CPU_SET(cpu, &here);
    return sched_setaffinity(thread.number, sizeof here, &here) == 0 &&
           sched_setaffinity(thread.number, sizeof all, &all) == 0;
}

void kata__thread_leave(void) {
    cpu_set_t all, others;
    const int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof all, &all) != 0) {
        return;
    }
    others = all;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0 && sched_setaffinity(0, sizeof others, &others) == 0) {
        (void)sched_setaffinity(0, sizeof all, &all);
    }
}

#else

kata__thread kata__thread_self(void) {
    return (kata__thread){0};
}

int kata__thread_processor(void) {
    return -1;
}

uint64_t kata__thread_ns(kata__thread thread) {
    (void)thread;
    return 0;
}

bool kata__thread_bring(kata__thread thread) {
    (void)thread;
    return false;
}

void kata__thread_leave(void) {
}

#endif
