// Which of the compiled instruction sets runs: GLAD_ONLY where it is the only one, else the best that the processor has,
// or an older one that GLAD_ISA names.
#include <cstdlib>
#include <cstring>

#include "kernels.h"

namespace glad {

#ifdef GLAD_ONLY
namespace GLAD_ONLY {
extern const Kernels kernels;
}
static const Kernels& choose() { return GLAD_ONLY::kernels; }
#else
namespace baseline {
extern const Kernels kernels;
}
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}

static const Kernels& choose() {
  __builtin_cpu_init();
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  const char* named = std::getenv("GLAD_ISA");
  const auto wanted = [&](const char* name) { return !named || !*named || !std::strcmp(named, name); };
  if (has_avx512 && wanted("avx512")) return avx512::kernels;
  if (has_avx2 && (wanted("avx2") || wanted("avx512"))) return avx2::kernels;
  return baseline::kernels;
}
#endif

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace glad

extern "C" __attribute__((visibility("default"))) const char* glad_cpu_isa() { return glad::kernels().name; }
