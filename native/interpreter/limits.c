/*
 * Resource limits. Those of whoever starts the image must not stand in the way of the thaw, nor
 * may those of the frozen process before everything is in its place: limits are raised first, and
 * set last. Only a hard limit above the one here may be refused; it then stays as it is.
 */
#include "interpreter.h"

struct limit {
    uint64_t soft, hard;
};

static int64_t set(uint64_t resource, uint64_t soft, uint64_t hard) {
    struct limit limit = {soft, hard};
    return CALL4(SYS_prlimit64, 0, resource, &limit, 0);
}

int64_t raise_limit(uint64_t resource, uint64_t hard) {
    struct limit here;
    int64_t result = CALL4(SYS_prlimit64, 0, resource, 0, &here);
    if (failed(result))
        return result;
    if (hard < here.hard || failed(set(resource, hard, hard))) {
        hard = here.hard;
        result = set(resource, hard, hard);
        if (failed(result))
            return result;
    }
    return hard > INT64_MAX ? INT64_MAX : (int64_t)hard;
}

int64_t set_limit(uint64_t resource, uint64_t soft, uint64_t hard) {
    struct limit here;
    int64_t result = set(resource, soft, hard);
    if (result != -EPERM)
        return result;
    result = CALL4(SYS_prlimit64, 0, resource, 0, &here);
    return failed(result) ? result : set(resource, soft < here.hard ? soft : here.hard, here.hard);
}
