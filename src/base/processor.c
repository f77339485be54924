/* Who has a processor, and moving a thread by its affinity mask (Linux). */
#include "base/processor.h"

#include <pthread.h>

#if defined(__linux__) && defined(_GNU_SOURCE)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Held while a mask is another one than its thread should have: who read it then and put it back
 * later would leave the thread on too few processors for ever. */
static pthread_mutex_t masks = PTHREAD_MUTEX_INITIALIZER;

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

/* Moves a thread (0: the calling one) to the processor that the caller is on, or away from it. A
 * mask that lets it on no other processor moves it at once; then it may go on using all that it
 * could before, but has no reason to move. False if nothing was done. */
static bool move(pid_t number, bool here) {
    cpu_set_t all, some;
    const int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || pthread_mutex_trylock(&masks) != 0) {
        return false;
    }
    bool moved = false;
    if (sched_getaffinity(number, sizeof all, &all) == 0 && CPU_ISSET(cpu, &all)) {
        some = all;
        CPU_CLR(cpu, &some);
        if (here) {
            CPU_XOR(&some, &all, &some);
        }
        moved = CPU_COUNT(&some) > 0 && sched_setaffinity(number, sizeof some, &some) == 0 &&
                sched_setaffinity(number, sizeof all, &all) == 0;
    }
    pthread_mutex_unlock(&masks);
    return moved;
}

bool kata__thread_bring(kata__thread thread) {
    return thread.number != 0 && move(thread.number, true);
}

void kata__thread_leave(void) {
    (void)move(0, false);
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
