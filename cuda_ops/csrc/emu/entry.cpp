// The emulator's own extern "C" functions, and the main function of the sanitizers' executable.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../cuda/launch.cuh"
#include "entry.h"

extern "C" {

const char* glad_emu_error() { return glad::emu::last_error.c_str(); }

void glad_emu_schedule(int schedule, unsigned seed) {
  glad::emu::set_schedule(static_cast<glad::emu::Schedule>(schedule), seed);
}

void glad_emu_plant(int bug) { glad::planted_bug = static_cast<glad::Bug>(bug); }
}

// Runs an operator's small launches under a schedule, with a planted bug (0: none).
int main(int argc, char** argv) {
  using namespace glad::emu;
  const char* const schedules[] = {"forward", "reversed", "shuffled", "threads"};
  if (argc != 4 || !smoke_runs().count(argv[1])) {
    std::fprintf(stderr, "usage: %s OPERATOR forward|reversed|shuffled|threads BUG, with OPERATOR one of", argv[0]);
    for (const auto& [name, run] : smoke_runs()) std::fprintf(stderr, " %s", name.c_str());
    std::fprintf(stderr, "\n");
    return 2;
  }
  for (int i = 0; i < 4; ++i) {
    if (std::strcmp(argv[2], schedules[i]) == 0) glad_emu_schedule(i, 0);
  }
  glad_emu_plant(std::atoi(argv[3]));
  const int failed = guarded(smoke_runs()[argv[1]]);
  if (failed) std::fprintf(stderr, "%s: %s\n", argv[1], last_error.c_str());
  return failed;
}
