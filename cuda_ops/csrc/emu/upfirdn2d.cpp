// The emulated launcher of upfirdn2d, and its small launches under the sanitizers.
#include "../cuda/upfirdn2d.cuh"

#include <initializer_list>

#include "entry.h"

using namespace glad;

extern "C" int glad_emu_upfirdn2d(const Upfirdn2dParams* params, int dtype) {
  return emu::guarded([&] { upfirdn2d_launch(*params, static_cast<Dtype>(dtype), nullptr); });
}

// 1 where the tiled kernel serves these parameters, so that the tests can say which kernel they saw.
extern "C" int glad_emu_upfirdn2d_is_tiled(const Upfirdn2dParams* params, int dtype) {
  return upfirdn2d_choice(*params, static_cast<Dtype>(dtype)) != upfirdn2d_generic_launch;
}

namespace {

struct Case {
  std::int64_t height, width;
  int up, down, taps, pad;
};

template <typename T>
void smoke_typed(Dtype dtype, const Case& c) {
  const auto axis = [&](std::int64_t in) {
    return Upfirdn2dAxis{in, (in * c.up + 2 * c.pad - c.taps) / c.down + 1, c.up, c.down, c.taps, c.pad};
  };
  const Upfirdn2dAxis across = axis(c.width), along = axis(c.height);
  const auto x = emu::random_buffer<T>(c.height * c.width, 1);
  const auto f = emu::random_buffer<float>(c.taps, 2);
  auto y = emu::poisoned_buffer<T>(across.out * along.out);
  const Upfirdn2dParams p{x.data(), f.data(), y.data(), 1, 1, {c.height * c.width, c.height * c.width, c.width, 1},
                          across, along, 4.0, 2, false, true, false, false};
  upfirdn2d_launch(p, dtype, nullptr);
  emu::require_written(y);
}

void smoke(std::initializer_list<Case> cases) {
  for (const Case& c : cases) {
    smoke_typed<float>(Dtype::float32, c);
    smoke_typed<BFloat16>(Dtype::bfloat16, c);
  }
}

const emu::Smoke tiled("upfirdn2d", [] {
  smoke({{5, 7, 1, 1, 12, 8}, {8, 12, 2, 1, 12, 6}, {9, 16, 1, 2, 12, 7}, {3, 4, 4, 1, 24, 13}, {20, 21, 1, 4, 24, 11},
         {8, 40, 1, 1, 24, 12}, {6, 9, 2, 1, 20, 10}, {9, 9, 1, 2, 18, 9}});
});
const emu::Smoke generic("upfirdn2d_generic", [] { smoke({{4, 5, 3, 2, 5, 2}, {6, 5, 1, 1, 30, 16}}); });

}  // namespace
