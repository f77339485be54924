/* What this processor and its operating system can do. On x86-64 read from CPUID and XGETBV rather
 * than from the compiler's own list, which differs between GCC and Clang. */
#include "base/context.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static struct {
    kata__kernel_level level;
    kata__bfloat16_level bfloat16_level, bfloat16_choice;
    char name[64];
    char features[256];
} cpu;

static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

/* What AVX512_BF16's products of pairs and AMX's tiles are worth, by `kata bench machine/peak`,
 * GFLOP/s of one thread beside float32's multiply-adds:
 *
 *   Intel family 6, Sapphire Rapids    pairs 112, tiles 3335, float32 223
 *   AMD family 19h, Zen 4              pairs 236,             float32 118
 *
 * Pairs at half of float32's rate make a training step 1.5 to 3 times as long, and so does widening
 * on any processor. Where nobody has measured, float32 is computed. */
kata__bfloat16_level kata__bfloat16_choice(const char *vendor, unsigned family,
                                           kata__bfloat16_level there) {
    static const struct {
        const char *vendor;
        unsigned family;
    } fast_pairs[] = {{"AuthenticAMD", 0x19}};
    if (there == KATA__BFLOAT16_AMX) {
        return there;
    }
    for (size_t i = 0; i < sizeof fast_pairs / sizeof fast_pairs[0]; i++) {
        if (there == KATA__BFLOAT16_AVX512 && strcmp(fast_pairs[i].vendor, vendor) == 0 &&
            fast_pairs[i].family == family) {
            return there;
        }
    }
    return KATA__BFLOAT16_NONE;
}

#if defined(__x86_64__)

static void add_feature(const char *name) {
    size_t used = strlen(cpu.features);
    snprintf(cpu.features + used, sizeof cpu.features - used, "%s%s", used > 0 ? " " : "", name);
}

/* XCR0: which register sets the operating system saves. */
static uint64_t saved_registers(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static void read_name(void) {
    uint32_t word[12];
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u) {
        return;
    }
    for (uint32_t leaf = 0; leaf < 3; leaf++) {
        uint32_t *at = word + 4 * leaf;
        __cpuid(0x80000002u + leaf, at[0], at[1], at[2], at[3]);
    }
    char text[sizeof word + 1];
    memcpy(text, word, sizeof word);
    text[sizeof word] = '\0';
    const char *start = text + strspn(text, " ");
    size_t length = strlen(start);
    while (length > 0 && start[length - 1] == ' ') {
        length--;
    }
    memcpy(cpu.name, start, length);
    cpu.name[length] = '\0';
}

/* Linux gives a process the tile registers only when it asks: arch_prctl(ARCH_REQ_XCOMP_PERM,
 * XFEATURE_XTILEDATA). The answer holds for all its threads, those to come as well. */
static bool may_use_tiles(void) {
#if defined(__linux__) && defined(SYS_arch_prctl)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}

static void detect(void) {
    read_name();
    cpu.bfloat16_level = KATA__BFLOAT16_PLAIN;
    uint32_t a, b, c, d;
    char vendor[13] = "";
    if (!__get_cpuid(0, &a, &b, &c, &d)) {
        return;
    }
    memcpy(vendor, (uint32_t[]){b, d, c}, 12);
    if (!__get_cpuid(1, &a, &b, &c, &d)) {
        return;
    }
    unsigned family = a >> 8 & 0xf;
    family += family == 0xf ? a >> 20 & 0xff : 0;
    bool osxsave = (c >> 27 & 1) != 0;
    uint64_t saved = osxsave ? saved_registers() : 0;
    bool ymm = (saved & 0x06) == 0x06, zmm = (saved & 0xE6) == 0xE6;
    bool tiles = (saved & 0x60000) == 0x60000;
    bool avx = ymm && (c >> 28 & 1), fma = avx && (c >> 12 & 1), f16c = avx && (c >> 29 & 1);
    uint32_t b7 = 0, c7 = 0, d7 = 0, a71 = 0;
    if (__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) && a >= 1) {
        __get_cpuid_count(7, 1, &a71, &b, &c, &d);
    }
    bool avx2 = avx && (b7 >> 5 & 1), bmi2 = (b7 >> 8 & 1) != 0;
    bool f = zmm && (b7 >> 16 & 1), dq = zmm && (b7 >> 17 & 1);
    bool bw = zmm && (b7 >> 30 & 1), vl = zmm && (b7 >> 31 & 1);
    const struct {
        const char *name;
        bool there;
    } list[] = {
        {"avx", avx},
        {"avx2", avx2},
        {"fma", fma},
        {"f16c", f16c},
        {"bmi2", bmi2},
        {"avx_vnni", ymm && (a71 >> 4 & 1)},
        {"avx512f", f},
        {"avx512dq", dq},
        {"avx512bw", bw},
        {"avx512vl", vl},
        {"avx512_vnni", zmm && (c7 >> 11 & 1)},
        {"avx512_bf16", zmm && (a71 >> 5 & 1)},
        {"avx512_fp16", zmm && (d7 >> 23 & 1)},
        {"amx_tile", tiles && (d7 >> 24 & 1)},
        {"amx_bf16", tiles && (d7 >> 22 & 1)},
        {"amx_int8", tiles && (d7 >> 25 & 1)},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (list[i].there) {
            add_feature(list[i].name);
        }
    }
    /* The sets that cmake/kernels.cmake compiles the bodies for. */
    bool level_avx2 = avx2 && fma && f16c && bmi2;
    bool level_avx512 = level_avx2 && f && dq && bw && vl;
    cpu.level = level_avx512 ? KATA__AVX512 : level_avx2 ? KATA__AVX2 : KATA__PORTABLE;
    bool pairs = level_avx512 && (a71 >> 5 & 1);
    bool amx = pairs && tiles && (d7 >> 24 & 1) && (d7 >> 22 & 1) && may_use_tiles();
    cpu.bfloat16_level = amx     ? KATA__BFLOAT16_AMX
                         : pairs ? KATA__BFLOAT16_AVX512
                                 : KATA__BFLOAT16_PLAIN;
    cpu.bfloat16_choice = kata__bfloat16_choice(vendor, family, cpu.bfloat16_level);
}

#else

static void detect(void) {
    cpu.level = KATA__PORTABLE;
    cpu.bfloat16_level = KATA__BFLOAT16_PLAIN;
#if defined(__aarch64__)
    snprintf(cpu.features, sizeof cpu.features, "neon");
#endif
}

#endif

kata__kernel_level kata__cpu_level(void) {
    pthread_once(&cpu_once, detect);
    return cpu.level;
}

kata__bfloat16_level kata__cpu_bfloat16_level(void) {
    pthread_once(&cpu_once, detect);
    return cpu.bfloat16_level;
}

kata__bfloat16_level kata__cpu_bfloat16_choice(void) {
    pthread_once(&cpu_once, detect);
    return cpu.bfloat16_choice;
}

const char *kata__cpu_name(void) {
    pthread_once(&cpu_once, detect);
    return cpu.name;
}

const char *kata__cpu_features(void) {
    pthread_once(&cpu_once, detect);
    return cpu.features;
}

/* A small text file of the kernel into `text`; false if there is none. */
static bool read_small(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n_bytes = read(fd, text, size - 1);
    close(fd);
    text[n_bytes < 0 ? 0 : n_bytes] = '\0';
    return n_bytes > 0;
}

static int less_by_quota(int count, double quota, double period) {
    if (quota <= 0 || period <= 0 || quota / period >= count) {
        return count;
    }
    int whole = (int)(quota / period);
    return whole < quota / period ? whole + 1 : whole;
}

/* Control groups: version 2 by this process's own group and each one above it (in a container the
 * root is the container's own), version 1 by the root. */
static int apply_quota(int count) {
    char text[1024], path[1280];
    if (read_small("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text)) {
        double quota = strtod(text, NULL);
        if (read_small("/sys/fs/cgroup/cpu/cpu.cfs_period_us", text, sizeof text)) {
            count = less_by_quota(count, quota, strtod(text, NULL));
        }
    }
    if (!read_small("/proc/self/cgroup", text, sizeof text)) {
        return count;
    }
    const char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
    if (line == NULL) {
        return count;
    }
    const char *group = strchr(line, '/');
    int length = group == NULL ? 0 : (int)strcspn(group, "\n");
    char limits[64];
    for (;;) {
        double quota, period;
        snprintf(path, sizeof path, "/sys/fs/cgroup%.*s/cpu.max", length, length > 0 ? group : "");
        if (read_small(path, limits, sizeof limits) &&
            sscanf(limits, "%lf %lf", &quota, &period) == 2) {
            count = less_by_quota(count, quota, period);
        }
        if (length == 0) {
            return count;
        }
        do {
            length--;
        } while (length > 0 && group[length] != '/');
    }
}

int kata__cpu_count(void) {
    long count = 0;
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) {
        count = CPU_COUNT(&set);
    }
#endif
    if (count <= 0) { /* a machine of more processors than cpu_set_t has bits */
        count = sysconf(_SC_NPROCESSORS_ONLN);
    }
    count = count < 1 ? 1 : count > KATA__MAX_THREADS ? KATA__MAX_THREADS : count;
    return apply_quota((int)count);
}
