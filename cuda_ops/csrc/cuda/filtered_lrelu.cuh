// Launching filtered_lrelu and its Jacobian: the streaming kernel where a specialisation fits, else the generic one.
#pragma once

#include <type_traits>

#include "filtered_lrelu_generic.cuh"
#include "filtered_lrelu_stream.cuh"

namespace glad {

// Fewer blocks than this leave a large device idle, so strips are cut shorter, down to flr_min_strip rows.
constexpr std::int64_t flr_enough_blocks = 1024;
constexpr std::int64_t flr_min_strip = 32;

// Shared memory for a tile of the streaming kernel: what a device gives without being asked.
constexpr std::size_t flr_tile_bytes = 48 * 1024;

inline dim3 flr_grid(std::int64_t planes, std::int64_t columns, std::int64_t rows) {
  if (planes > 0x7fffffff || columns > max_grid_yz || rows > max_grid_yz) {
    throw std::invalid_argument("filtered_lrelu: " + std::to_string(planes) + " planes in " + std::to_string(columns) +
                                "x" + std::to_string(rows) + " tiles are more than a grid has");
  }
  return {static_cast<unsigned>(planes), static_cast<unsigned>(columns), static_cast<unsigned>(rows)};
}

// ---- streaming kernel

// Four elements from a multiple of four on are aligned in every row of every plane.
template <typename T>
bool flr_vector_rows(const void* base, const FlrStrides& s) {
  return s.w == 1 && s.h % 4 == 0 && s.c % 4 == 0 && s.n % 4 == 0 && is_aligned<4>(static_cast<const T*>(base));
}

// The tile width that takes the fewest warps, the widest such; within flr_max_threads and flr_tile_bytes.
template <typename S>
int flr_tile_width(std::int64_t width) {
  int best = 0;
  std::int64_t fewest = 0;
  for (int widest = flr_max_threads / S::out_down / 4 * 4; widest > 0; widest -= 4) {
    const std::int64_t tiles = ceil_div<std::int64_t>(width, widest);
    const int tile = static_cast<int>(ceil_div(ceil_div(width, tiles), std::int64_t{4})) * 4;  // all alike
    const int mids = FlrShared<S>::mids(tile);
    if (mids > flr_max_threads || FlrShared<S>(tile).size * sizeof(float) > flr_tile_bytes) continue;
    const std::int64_t warps = tiles * ceil_div(mids, 32);
    if (best == 0 || warps < fewest) best = tile, fewest = warps;
  }
  return best;
}

template <typename T, typename S>
void flr_stream_launch(const FlrParams& p, cudaStream_t stream) {
  const int tile = flr_tile_width<S>(p.yw);
  const std::int64_t columns = ceil_div<std::int64_t>(p.yw, tile);
  const std::int64_t strips = smaller(ceil_div(flr_enough_blocks, p.planes * columns), ceil_div(p.yh, flr_min_strip));
  const std::int64_t strip = ceil_div(p.yh, strips);
  const FlrStreamParams sp{p,
                           FlrActivation<float>(p),
                           tile,
                           static_cast<int>(strip),
                           flr_vector_rows<T>(p.x, p.xs),
                           flr_vector_rows<T>(p.v, p.vs),
                           flr_vector_rows<T>(p.y, p.ys)};
  const int threads = ceil_div(FlrShared<S>::mids(tile), 32) * 32;
  launch(flr_stream_kernel<T, S>, flr_grid(p.planes, columns, ceil_div(p.yh, strip)),
         dim3{static_cast<unsigned>(threads)}, FlrShared<S>(tile).size * sizeof(float), stream, sp);
}

template <template <FlrMode> typename Shape>
bool flr_fits(const FlrParams& p) {
  using S = Shape<FlrMode::forward>;
  const int leading = flr_leading_zeros(flr_spread_origin(p.pad_y, p.nu), p.down);
  return p.up == S::up && p.down == S::down && p.nu <= S::nu && p.nd <= S::nd && p.nd + leading <= S::nd_y;
}

template <typename T, template <FlrMode> typename Shape>
void flr_stream_launch_mode(const FlrParams& p, FlrMode mode, cudaStream_t stream) {
  switch (mode) {
    case FlrMode::forward: return flr_stream_launch<T, Shape<FlrMode::forward>>(p, stream);
    case FlrMode::jacobian: return flr_stream_launch<T, Shape<FlrMode::jacobian>>(p, stream);
    case FlrMode::transposed: return flr_stream_launch<T, Shape<FlrMode::transposed>>(p, stream);
  }
}

// ---- generic kernel: filters of up to 48 taps fit whatever the type, the factors and the mode; longer ones may

template <typename T>
void flr_generic_launch(const FlrParams& p, FlrMode mode, cudaStream_t stream) {
  FlrGenericParams<accumulate_t<T>> gp{p, FlrActivation<accumulate_t<T>>(p), mode, flr_block_w, flr_block_h * 2};
  const auto bytes = [&] {
    return FlrGenericShared(p, mode, gp.tile_w, gp.tile_h).size * static_cast<std::int64_t>(sizeof(accumulate_t<T>));
  };
  while (bytes() > static_cast<std::int64_t>(max_shared_bytes)) {
    if (gp.tile_w == 1 && gp.tile_h == 1) {
      throw std::invalid_argument("filtered_lrelu: filters of " + std::to_string(p.nu) + " and " +
                                  std::to_string(p.nd) + " taps need " + std::to_string(bytes()) +
                                  " bytes of shared memory, there are " + std::to_string(max_shared_bytes));
    }
    (gp.tile_w > gp.tile_h ? gp.tile_w : gp.tile_h) /= 2;
  }
  launch(flr_generic_kernel<T>, flr_grid(p.planes, ceil_div<std::int64_t>(p.yw, gp.tile_w),
                                         ceil_div<std::int64_t>(p.yh, gp.tile_h)),
         dim3{flr_block_w, flr_block_h}, static_cast<std::size_t>(bytes()), stream, gp);
}

// ---- the choice

// StyleGAN3's and StyleGAN-XL's layers: six taps per factor. Up 2 down 2 is aligned there, as their padding is odd;
// even padding shifts the mids by one, and so needs room for a leading zero.
template <FlrMode mode>
using FlrShape22 = FlrShape<2, 12, 2, 12, 12, mode>;
template <FlrMode mode>
using FlrShape22Shifted = FlrShape<2, 12, 2, 12, 14, mode>;
template <FlrMode mode>
using FlrShape42 = FlrShape<4, 24, 2, 12, 14, mode>;

// Coordinates on the up-sampled map are 32-bit; offsets into tensors are not.
inline void flr_check_coordinates(const FlrParams& p) {
  const std::int64_t mids_h = larger(p.xh * p.up, larger(p.yh, p.vh) * p.down) + std::abs(p.pad_y);
  const std::int64_t mids_w = larger(p.xw * p.up, larger(p.yw, p.vw) * p.down) + std::abs(p.pad_x);
  if (larger(mids_h, mids_w) > 1 << 30) {
    throw std::invalid_argument("filtered_lrelu: an up-sampled map of " + std::to_string(mids_h) + "x" +
                                std::to_string(mids_w) + ", of which no side may exceed 2^30");
  }
}

// The streaming kernel's launcher for elements of type T where one serves p, else the generic kernel's.
template <typename T>
auto flr_launcher(const FlrParams& p) {
  using Launcher = void (*)(const FlrParams&, FlrMode, cudaStream_t);
  if constexpr (!std::is_same_v<T, double>) {
    if (flr_fits<FlrShape22>(p)) return Launcher{flr_stream_launch_mode<T, FlrShape22>};
    if (flr_fits<FlrShape22Shifted>(p)) return Launcher{flr_stream_launch_mode<T, FlrShape22Shifted>};
    if (flr_fits<FlrShape42>(p)) return Launcher{flr_stream_launch_mode<T, FlrShape42>};
  }
  return Launcher{flr_generic_launch<T>};
}

// Throws std::invalid_argument where the filters do not fit in shared memory, or a size is out of range.
inline void filtered_lrelu_launch(const FlrParams& p, Dtype dtype, FlrMode mode, cudaStream_t stream) {
  if (p.planes == 0) return;
  flr_check_coordinates(p);
  dispatch(dtype, [&](auto zero) { flr_launcher<decltype(zero)>(p)(p, mode, stream); });
}

}  // namespace glad
