/* Telling whether a thread runs, and moving one: what processors it may use is as before. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/processor.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

struct other {
    kata__thread self;
    atomic_int state; /* 0: not begun, 1: computes, 2: is to sleep, 3: is to end */
};

static void *run(void *argument) {
    struct other *other = argument;
    other->self = kata__thread_self();
    atomic_store(&other->state, 1);
    while (atomic_load(&other->state) == 1) {
    }
    while (atomic_load(&other->state) == 2) {
        usleep(200000);
    }
    return NULL;
}

static void wait_ns(uint64_t ns) {
    for (uint64_t end = kata__clock_ns() + ns; kata__clock_ns() < end;) {
        sched_yield();
    }
}

static void clock_stands_and_masks_stay(void **state) {
    (void)state;
    if (kata__thread_self().number == 0) {
        print_message("SKIPPED: this system does not tell\n");
        skip();
    }
    struct other other = {.state = 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, &other), 0);
    while (atomic_load(&other.state) == 0) {
        sched_yield();
    }
    assert_true(other.self.number != kata__thread_self().number);
    uint64_t before = kata__thread_ns(other.self);
    wait_ns(100000000);
    assert_true(before > 0 && kata__thread_ns(other.self) > before);

    atomic_store(&other.state, 2);
    wait_ns(50000000);
    before = kata__thread_ns(other.self);
    wait_ns(20000000);
    assert_true(kata__thread_ns(other.self) == before);

    cpu_set_t mine, its, now;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    assert_int_equal(sched_getaffinity(other.self.number, sizeof its, &its), 0);
    for (int i = 0; i < 100; i++) {
        assert_true(kata__thread_bring(other.self));
        kata__thread_leave();
    }
    assert_int_equal(sched_getaffinity(0, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &mine));
    assert_int_equal(sched_getaffinity(other.self.number, sizeof now, &now), 0);
    assert_true(CPU_EQUAL(&now, &its));
    atomic_store(&other.state, 3);
    assert_int_equal(pthread_join(thread, NULL), 0);

    const kata__thread nobody = {0};
    assert_true(kata__thread_ns(nobody) == 0);
    assert_false(kata__thread_bring(nobody));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(clock_stands_and_masks_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
