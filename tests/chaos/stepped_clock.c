/* A wall clock that can be stepped while a process runs: LD_PRELOAD it, and name in STEPPED_CLOCK a file that
 * holds the seconds to add, as text. Only the wall clock: the monotonic one goes on, as when a machine is set right. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long offset(void) {
    const char *path = getenv("STEPPED_CLOCK");
    FILE *file = path ? fopen(path, "re") : NULL;
    long seconds = 0;
    if (file == NULL) return 0;
    if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
    fclose(file);
    return seconds;
}

/* Read twice a second at most; a race between threads only means that one reads it once more. */
static long stepped_by(int (*real)(clockid_t, struct timespec *)) {
    static volatile long kept, looked_at = -1;
    struct timespec now;
    real(CLOCK_MONOTONIC, &now);
    long beat = now.tv_sec * 2 + now.tv_nsec / 500000000;
    if (beat != looked_at) {
        looked_at = beat;
        kept = offset();
    }
    return kept;
}

int clock_gettime(clockid_t clock, struct timespec *told) {
    static int (*real)(clockid_t, struct timespec *);
    if (real == NULL) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, told);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) told->tv_sec += stepped_by(real);
    return failed;
}

int gettimeofday(struct timeval *restrict told, void *restrict zone) {
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now)) return -1;
    told->tv_sec = now.tv_sec;
    told->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told != NULL) *told = now.tv_sec;
    return now.tv_sec;
}
