#include "recorder/caller.h"

struct lane caller_no_lane;
_Thread_local struct caller caller __attribute__((tls_model("initial-exec"))) = {
    .lane = &caller_no_lane, .hindrances = HINDERED_APART};
enum lane_clock lane_clock;
