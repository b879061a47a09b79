// Which of the compiled instruction sets runs: the best that the processor has, or an older one that GLAD_ISA names.
#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace glad {

namespace baseline {
extern const Kernels kernels;
}
#ifndef GLAD_BASELINE_ONLY
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

static const Kernels& choose() {
#ifndef GLAD_BASELINE_ONLY
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const char* named = std::getenv("GLAD_ISA");
  const auto wanted = [&](const char* name) { return !named || !*named || !std::strcmp(named, name); };
  if (has_avx512 && wanted("avx512")) return avx512::kernels;
  if (has_avx2 && (wanted("avx2") || wanted("avx512"))) return avx2::kernels;
#endif
  return baseline::kernels;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace glad

extern "C" __attribute__((visibility("default"))) const char* glad_cpu_isa() { return glad::kernels().name; }
