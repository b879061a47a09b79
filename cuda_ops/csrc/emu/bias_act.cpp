// The emulated launcher of bias_act, and its small launches under the sanitizers.
#include "../cuda/bias_act.cuh"

#include "entry.h"

using namespace glad;

extern "C" int glad_emu_bias_act(const BiasActParams* params, int dtype, int order) {
  return emu::guarded([&] { bias_act_launch(*params, static_cast<Dtype>(dtype), order, nullptr); });
}

namespace {

template <typename T>
void smoke_typed(Dtype dtype) {
  for (const std::int64_t count : {21, 1027, 1024}) {  // a few vectors, blocks with a ragged end, whole vectors only
    for (int order = 0; order < 3; ++order) {
      const auto x = emu::random_buffer<T>(count, 1), g = emu::random_buffer<T>(count, 2);
      const auto b = emu::random_buffer<T>(3, 3);
      auto y = emu::poisoned_buffer<T>(count);
      const BiasActParams p{x.data(), order ? g.data() : nullptr, b.data(), y.data(), count, 3, 7,
                            static_cast<Act>(count % 9), 0.2, 1.4, 0.9};
      bias_act_launch(p, dtype, order, nullptr);
      emu::require_written(y);
    }
  }
}

void smoke() {
  smoke_typed<float>(Dtype::float32);
  smoke_typed<Half>(Dtype::float16);
}

const emu::Smoke registered("bias_act", smoke);

}  // namespace
