// upfirdn2d: its parameters, and the kernel that takes anything, one output a thread.
//
// y[o] = gain sum_k f'[k] xup[o down + k - pad], where xup is x with up-1 zeros after each sample, and f' is f,
// reversed unless `flip`. Sample i of x meets tap k = i up + pad - o down.
#pragma once

#include <cmath>

#include "launch.cuh"

namespace glad {

struct Upfirdn2dAxis {
  std::int64_t in, out;  // samples of x and of y
  int up, down, taps;
  int pad;  // before the first sample, on the up-sampled grid
};

struct Upfirdn2dParams {
  const void* x;
  const void* f;  // on the device: [taps] if separable, else [across.taps columns]; null: identity
  void* y;        // dense, NCHW or NHWC
  std::int64_t batch, channels;
  std::int64_t stride[4];  // of x, in elements, N C H W
  Upfirdn2dAxis across, along;
  double gain;
  std::int64_t max_blocks;  // blocks take several tiles or outputs each beyond this many
  bool f_is_double, separable, flip, channels_last;  // channels_last: of y
};

// Tap k, in correlation order, of a filter of `taps`, the row starting at `row`.
template <typename A>
__device__ __forceinline__ A upfirdn2d_tap(const Upfirdn2dParams& p, int row, int k, int taps) {
  const int i = row + (p.flip ? k : taps - 1 - k);
  return p.f_is_double ? static_cast<A>(static_cast<const double*>(p.f)[i])
                       : static_cast<A>(static_cast<const float*>(p.f)[i]);
}

// The samples of one axis that an output meets: first <= i <= last, sample i under tap i up - shift.
struct Upfirdn2dSupport {
  std::int64_t first, last, shift;
};

__device__ __forceinline__ Upfirdn2dSupport upfirdn2d_support(const Upfirdn2dAxis& axis, std::int64_t o) {
  const std::int64_t shift = o * axis.down - axis.pad, up = axis.up;
  const std::int64_t first = floor_div(shift + up - 1, up), last = floor_div(shift + axis.taps - 1, up);
  return {larger<std::int64_t>(first, 0), smaller(last, axis.in - 1), shift};
}

template <typename T>
__device__ __forceinline__ accumulate_t<T> upfirdn2d_row(const Upfirdn2dParams& p, const T* row, int f_row,
                                                         const Upfirdn2dSupport& s) {
  using A = accumulate_t<T>;
  A sum = 0;
  for (std::int64_t i = s.first; i <= s.last; ++i) {
    const int k = static_cast<int>(i * p.across.up - s.shift);
    const A tap = p.f ? upfirdn2d_tap<A>(p, f_row, k, p.across.taps) : A(1);
    sum += tap * static_cast<A>(row[i * p.stride[3]]);
  }
  return sum;
}

constexpr int upfirdn2d_generic_threads = 256;

template <typename T>
__global__ void __launch_bounds__(upfirdn2d_generic_threads) upfirdn2d_generic_kernel(Upfirdn2dParams p) {
  using A = accumulate_t<T>;
  const std::int64_t width = p.across.out, height = p.along.out, count = p.batch * p.channels * height * width;
  const std::int64_t first = std::int64_t{blockIdx.x} * upfirdn2d_generic_threads + threadIdx.x;
  for (std::int64_t i = first; i < count; i += std::int64_t{gridDim.x} * upfirdn2d_generic_threads) {
    const std::int64_t pixel = p.channels_last ? i / p.channels : i, row = pixel / width;
    const std::int64_t plane = row / height, n = p.channels_last ? plane : plane / p.channels;
    const std::int64_t c = p.channels_last ? i % p.channels : plane % p.channels;
    const T* x = static_cast<const T*>(p.x) + n * p.stride[0] + c * p.stride[1];
    const Upfirdn2dSupport sx = upfirdn2d_support(p.across, pixel % width);
    const Upfirdn2dSupport sy = upfirdn2d_support(p.along, row % height);
    A sum = 0;
    for (std::int64_t j = sy.first; j <= sy.last; ++j) {
      const int k = static_cast<int>(j * p.along.up - sy.shift);
      const int f_row = p.separable ? 0 : (p.flip ? k : p.along.taps - 1 - k) * p.across.taps;
      const A tap = p.f && p.separable ? upfirdn2d_tap<A>(p, 0, k, p.along.taps) : A(1);
      sum += tap * upfirdn2d_row(p, x + j * p.stride[2], f_row, sx);
    }
    const std::int64_t at = planted_bug == Bug::store_past_end ? i + 1 : i;
    static_cast<T*>(p.y)[at] = static_cast<T>(sum * static_cast<A>(p.gain));
  }
}

inline void upfirdn2d_generic_launch(const Upfirdn2dParams& p, Dtype dtype, cudaStream_t stream) {
  const std::int64_t count = p.batch * p.channels * p.across.out * p.along.out;
  const std::int64_t blocks = ceil_div<std::int64_t>(count, upfirdn2d_generic_threads);
  const dim3 grid{static_cast<unsigned>(smaller(blocks, p.max_blocks))}, block{upfirdn2d_generic_threads};
  dispatch(dtype, [&](auto zero) { launch(upfirdn2d_generic_kernel<decltype(zero)>, grid, block, 0, stream, p); });
}

}  // namespace glad
