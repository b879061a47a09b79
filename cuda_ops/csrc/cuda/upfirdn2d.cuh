// Which kernel computes upfirdn2d: tiles for separable filters at the usual factors, otherwise the generic one.
#pragma once

#include "upfirdn2d_generic.cuh"
#include "upfirdn2d_tile.cuh"

namespace glad {

using Upfirdn2dLauncher = void (*)(const Upfirdn2dParams&, Dtype, cudaStream_t);

struct Upfirdn2dInstance {
  int up, down, taps;  // both axes alike; filters of at most `taps` taps
  Upfirdn2dLauncher launcher;
};

template <int up, int down, int taps, int width, int height, int groups_y>
constexpr Upfirdn2dInstance upfirdn2d_instance() {
  return {up, down, taps, upfirdn2d_tile_launch<Upfirdn2dTile<up, down, taps, width, height, groups_y>>};
}

// up, down, taps; then the tile: width, height, and the groups a thread computes at once along a column.
constexpr Upfirdn2dInstance upfirdn2d_instances[] = {
    upfirdn2d_instance<1, 1, 12, 64, 32, 4>(), upfirdn2d_instance<1, 1, 24, 64, 32, 4>(),
    upfirdn2d_instance<2, 1, 12, 64, 64, 2>(), upfirdn2d_instance<2, 1, 24, 64, 64, 2>(),
    upfirdn2d_instance<1, 2, 12, 32, 32, 2>(), upfirdn2d_instance<1, 2, 24, 32, 24, 2>(),
    upfirdn2d_instance<4, 1, 24, 64, 64, 1>(), upfirdn2d_instance<1, 4, 24, 32, 8, 2>(),
};

inline bool is_alike(const Upfirdn2dAxis& a, const Upfirdn2dAxis& b) {
  return a.up == b.up && a.down == b.down && a.taps == b.taps;
}

// The tiled kernel for these factors, taps and type, which takes contiguous x and y; null where there is none.
inline Upfirdn2dLauncher upfirdn2d_tiled(const Upfirdn2dParams& p, Dtype dtype) {
  if (!p.f || !p.separable || dtype == Dtype::float64 || !is_alike(p.across, p.along)) return nullptr;
  for (const Upfirdn2dInstance& i : upfirdn2d_instances) {
    if (i.up == p.across.up && i.down == p.across.down && i.taps >= p.across.taps) return i.launcher;
  }
  return nullptr;
}

inline bool is_contiguous(const Upfirdn2dParams& p) {
  const std::int64_t expected[] = {p.channels * p.along.in * p.across.in, p.along.in * p.across.in, p.across.in, 1};
  const std::int64_t sizes[] = {p.batch, p.channels, p.along.in, p.across.in};
  for (int i = 0; i < 4; ++i) {
    if (sizes[i] != 1 && p.stride[i] != expected[i]) return false;
  }
  return true;
}

inline Upfirdn2dLauncher upfirdn2d_choice(const Upfirdn2dParams& p, Dtype dtype) {
  const Upfirdn2dLauncher tiled = is_contiguous(p) && !p.channels_last ? upfirdn2d_tiled(p, dtype) : nullptr;
  return tiled ? tiled : upfirdn2d_generic_launch;
}

inline void upfirdn2d_launch(const Upfirdn2dParams& p, Dtype dtype, cudaStream_t stream) {
  if (p.batch * p.channels * p.across.out * p.along.out == 0) return;
  upfirdn2d_choice(p, dtype)(p, dtype, stream);
}

}  // namespace glad
