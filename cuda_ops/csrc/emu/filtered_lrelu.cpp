// The emulated launcher of filtered_lrelu and its Jacobian, and its small launches under the sanitizers.
#include "../cuda/filtered_lrelu.cuh"

#include "entry.h"

using namespace glad;

extern "C" int glad_emu_filtered_lrelu(const FlrParams* params, int dtype, int mode) {
  return emu::guarded([&] {
    filtered_lrelu_launch(*params, static_cast<Dtype>(dtype), static_cast<FlrMode>(mode), nullptr);
  });
}

// 1 where the streaming kernel serves these parameters, so that the tests can say which kernel they saw.
extern "C" int glad_emu_filtered_lrelu_streams(const FlrParams* params, int dtype) {
  int streams = 0;
  dispatch(static_cast<Dtype>(dtype), [&](auto zero) {
    using T = decltype(zero);
    streams = flr_launcher<T>(*params) != flr_generic_launch<T>;
  });
  return streams;
}

namespace {

struct Case {
  std::int64_t height, width;
  int up, down, nu, nd, pad;

  std::int64_t out(std::int64_t size) const { return (size * up + 2 * pad - (nu - 1) - (nd - 1) + down - 1) / down; }
};

FlrStrides strides(std::int64_t h, std::int64_t w) { return {h * w, h * w, w, 1}; }

template <typename T>
void smoke_typed(Dtype dtype, const Case& c, FlrMode mode) {
  const bool masked = mode != FlrMode::forward, transposed = mode == FlrMode::transposed;
  const std::int64_t oh = c.out(c.height), ow = c.out(c.width);
  const std::int64_t vh = transposed ? oh : c.height, vw = transposed ? ow : c.width;
  const std::int64_t yh = transposed ? c.height : oh, yw = transposed ? c.width : ow;
  const auto x = emu::random_buffer<T>(c.height * c.width, 1), v = emu::random_buffer<T>(vh * vw, 2);
  const auto b = emu::random_buffer<T>(1, 3);
  const auto fu = emu::random_buffer<float>(c.nu, 4), fd = emu::random_buffer<float>(c.nd, 5);
  auto y = emu::poisoned_buffer<T>(yh * yw);
  FlrParams p{};
  p.x = x.data(), p.v = masked ? v.data() : nullptr, p.b = b.data(), p.fu = fu.data(), p.fd = fd.data(), p.y = y.data();
  p.xs = strides(c.height, c.width), p.vs = strides(vh, vw), p.ys = strides(yh, yw);
  p.planes = 1, p.channels = 1;
  p.xh = c.height, p.xw = c.width, p.vh = masked ? vh : 0, p.vw = masked ? vw : 0, p.yh = yh, p.yw = yw;
  p.up = c.up, p.down = c.down, p.nu = c.nu, p.nd = c.nd, p.pad_x = p.pad_y = c.pad;
  p.gain = 1.4, p.slope = 0.2, p.clamp = 0.9;
  filtered_lrelu_launch(p, dtype, mode, nullptr);
  emu::require_written(y);
}

void smoke() {
  // Several chunks and aligned rows; a ragged width; one pixel; the generic kernel.
  const Case cases[] = {{20, 8, 2, 2, 12, 12, 11},
                        {5, 7, 2, 2, 12, 11, 9},
                        {10, 8, 4, 2, 24, 12, 9},
                        {1, 1, 4, 2, 23, 12, 17},
                        {6, 5, 3, 2, 5, 4, 4}};
  for (const Case& c : cases) {
    for (const FlrMode mode : {FlrMode::forward, FlrMode::jacobian, FlrMode::transposed}) {
      smoke_typed<float>(Dtype::float32, c, mode);
      smoke_typed<BFloat16>(Dtype::bfloat16, c, mode);
    }
  }
}

const emu::Smoke registered("filtered_lrelu", smoke);

}  // namespace
