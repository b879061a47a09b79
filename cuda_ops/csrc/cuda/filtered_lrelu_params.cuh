// What both kernels of filtered_lrelu and of its Jacobian share: the parameters and the arithmetic in one description.
//
// One axis, with p a sample of the up-sampled map ("mid"), i one of x and o one of the forward result:
//   mid[p]  = sum of spread[p - up i - spread_origin] x[i]          (up-sampling: each x[i] spreads over nu mids)
//   y[o]    = sum of gather[k] act(mid)[down o + k]                 (down-sampling: each y[o] gathers nd mids)
// and the transposes exchange the two: v[o] spreads by `gather`, the result at i gathers by `spread`.
#pragma once

#include <cmath>
#include <cstdlib>

#include "launch.cuh"

namespace glad {

enum class FlrMode : int { forward, jacobian, transposed };  // y(x), J(x) v, J(x)^T v

struct FlrStrides {
  std::int64_t n, c, h, w;  // in elements
};

struct FlrParams {
  const void *x, *v, *b;    // v: null for FlrMode::forward; b: null without bias; all of one type
  const void *fu, *fd;      // null: one tap of 1
  void* y;                  // the result
  FlrStrides xs, vs, ys;
  std::int64_t planes;      // N C
  std::int64_t channels;    // C
  std::int64_t xh, xw, vh, vw, yh, yw;
  int up, down, nu, nd;
  std::int64_t pad_x, pad_y;  // before the first sample, on the up-sampled grid; negative crops
  int fu_double, fd_double;   // 1: the filter is float64, 0: float32
  int flip;                   // 1: correlate with the filters as they are
  double gain, slope, clamp;  // clamp < 0: none
};

// ---- taps

template <typename A>
__device__ __forceinline__ A flr_tap(const void* f, int is_double, int k) {
  if (f == nullptr) return A(1);
  return is_double ? static_cast<A>(static_cast<const double*>(f)[k]) : static_cast<A>(static_cast<const float*>(f)[k]);
}

// The weight of x[i] in mid[up i + spread_origin + k]; zero outside the filter. Includes the gain of `up` per axis.
template <typename A>
__device__ __forceinline__ A flr_spread_tap(const FlrParams& p, int k) {
  if (k < 0 || k >= p.nu) return A(0);
  return static_cast<A>(p.up) * flr_tap<A>(p.fu, p.fu_double, p.flip ? p.nu - 1 - k : k);
}

// The weight of act(mid)[down o + k] in y[o]; zero outside the filter.
template <typename A>
__device__ __forceinline__ A flr_gather_tap(const FlrParams& p, int k) {
  if (k < 0 || k >= p.nd) return A(0);
  return flr_tap<A>(p.fd, p.fd_double, p.flip ? k : p.nd - 1 - k);
}

GLAD_HOST_DEVICE int flr_spread_origin(std::int64_t pad, int nu) { return static_cast<int>(pad) - (nu - 1); }

// ---- the nonlinearity

template <typename A>
struct FlrActivation {
  A positive, negative, clamp;  // slopes with the gain in them; the clamp is infinite where there is none

  // On the host: a kernel would convert from double for every element.
  explicit FlrActivation(const FlrParams& p)
      : positive(static_cast<A>(p.gain)),
        negative(static_cast<A>(p.gain * p.slope)),
        clamp(p.clamp < 0 ? static_cast<A>(INFINITY) : static_cast<A>(p.clamp)) {}

  // NaN is not clamped, and so propagates.
  __device__ __forceinline__ A value(A mid) const {
    const A y = mid * (mid > A(0) ? positive : negative);
    return std::abs(y) > clamp ? std::copysign(clamp, y) : y;
  }

  __device__ __forceinline__ A slope(A mid) const {
    const A s = mid > A(0) ? positive : negative;
    return std::abs(mid * s) > clamp ? A(0) : s;
  }
};

// ---- planes

// The plane of this block: grid.x counts planes.
template <typename T>
__device__ __forceinline__ T* flr_plane(T* base, const FlrStrides& s, std::int64_t channels) {
  const auto c = static_cast<unsigned>(channels);
  return base + blockIdx.x / c * s.n + blockIdx.x % c * s.c;
}

// The bias of this block's plane.
template <typename T>
__device__ __forceinline__ accumulate_t<T> flr_bias(const FlrParams& p) {
  using A = accumulate_t<T>;
  return p.b ? static_cast<A>(static_cast<const T*>(p.b)[blockIdx.x % static_cast<unsigned>(p.channels)]) : A(0);
}

}  // namespace glad
