/* Ctrl-C: the first asks a long job to stop in order, the second stops at once. */
#include "tool/interrupt.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile int stop;
static volatile int64_t first_ms;

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Nothing here but what a signal handler may do. A signal within 300 ms is the same one: timeout(1)
 * sends it to the process and to its group. */
static void on_signal(int number) {
    (void)number;
    if (stop != 0) {
        if (now_ms() - first_ms > 300) {
            _exit(130);
        }
        return;
    }
    first_ms = now_ms();
    stop = 1;
    static const char text[] = "\nstopping after this batch; Ctrl-C again stops at once\n";
    ssize_t written = write(2, text, sizeof text - 1);
    (void)written;
}

static void handle(void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* A closed terminal stops in order too, unless nohup says that it shall not matter. */
    struct sigaction hang_up;
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN) {
        sigaction(SIGHUP, &action, NULL);
    }
}

const volatile int *kata__interrupt_begin(void) {
    stop = 0;
    handle(on_signal);
    return &stop;
}

void kata__interrupt_end(void) {
    handle(SIG_DFL);
}
