// bias_act and its first two derivatives: one pointwise kernel, 16 bytes a thread, grid-stride.
//
// order 0: clamp(gain act(v)); order n >= 1: g gain act^(n)(v) where gain act(v) is not clamped; v = x + b.
#pragma once

#include <cmath>

#include "launch.cuh"

namespace glad {

enum class Act : int { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

struct BiasActParams {
  const void* x;
  const void* g;            // multiplies the derivative; null for order 0
  const void* b;            // null: no bias
  void* y;                  // laid out as x and g
  std::int64_t count;       // elements of x
  std::int64_t bias_count;  // entries of b
  std::int64_t bias_step;   // elements of x, in memory order, between two entries of b
  Act act;
  double alpha, gain, clamp;  // clamp < 0: none
};

constexpr double selu_scale = 1.0507009873554804934193349852946;
constexpr double selu_alpha = 1.6732632423543772848170429916717;

template <typename A>
__device__ __forceinline__ A sigmoid_of(A v) {
  return A(1) / (A(1) + std::exp(-v));
}

// scale * (v, or alpha (exp(v) - 1) below zero), which is elu and selu.
template <int order, typename A>
__device__ __forceinline__ A exponential_unit(A v, A scale, A alpha) {
  if (v > A(0)) return order == 0 ? scale * v : order == 1 ? scale : A(0);
  return scale * alpha * (order == 0 ? std::expm1(v) : std::exp(v));
}

// The activation's derivative of the given order at v.
template <int order, typename A>
__device__ __forceinline__ A activation(Act act, A v, A alpha) {
  switch (act) {
    case Act::linear: return order == 0 ? v : order == 1 ? A(1) : A(0);
    case Act::relu:
    case Act::lrelu: {
      const A slope = act == Act::lrelu ? alpha : A(0);
      if constexpr (order == 0) return !(v < A(0)) ? v : act == Act::lrelu ? v * slope : A(0);  // NaN stays NaN
      return order == 2 ? A(0) : v > A(0) ? A(1) : slope;
    }
    case Act::tanh: {
      const A t = std::tanh(v);
      return order == 0 ? t : order == 1 ? A(1) - t * t : A(-2) * t * (A(1) - t * t);
    }
    case Act::elu: return exponential_unit<order>(v, A(1), A(1));
    case Act::selu: return exponential_unit<order>(v, A(selu_scale), A(selu_alpha));
    case Act::softplus: {
      if constexpr (order == 0) return (v < A(0) ? A(0) : v) + std::log1p(std::exp(-std::abs(v)));
      const A s = sigmoid_of(v);
      return order == 1 ? s : s * (A(1) - s);
    }
    case Act::sigmoid: {
      const A s = sigmoid_of(v);
      return order == 0 ? s : order == 1 ? s * (A(1) - s) : s * (A(1) - s) * (A(1) - A(2) * s);
    }
    case Act::swish: {
      const A s = sigmoid_of(v);
      if constexpr (order == 0) return s * v;
      return order == 1 ? s + v * s * (A(1) - s) : s * (A(1) - s) * (A(2) + v * (A(1) - A(2) * s));
    }
  }
  return v;
}

template <int order, typename A>
__device__ __forceinline__ A bias_act_element(A v, A g, const BiasActParams& p) {
  const A alpha = static_cast<A>(p.alpha), gain = static_cast<A>(p.gain), clamp = static_cast<A>(p.clamp);
  const A value = gain * activation<0>(p.act, v, alpha);
  const bool clamped = clamp >= A(0) && std::abs(value) > clamp;  // never for NaN, which therefore propagates
  if constexpr (order == 0) return clamped ? (value > A(0) ? clamp : -clamp) : value;
  return clamped ? A(0) : g * gain * activation<order>(p.act, v, alpha);
}

// `lanes` elements from p on, `valid` of which exist; one instruction where all do and `vector` says that p is aligned.
template <int lanes, typename T>
__device__ __forceinline__ Vec<T, lanes> load_some(const T* p, std::int64_t valid, bool vector) {
  if (vector && valid >= lanes) return load_vec<lanes>(p);
  Vec<T, lanes> v;
#pragma unroll
  for (int i = 0; i < lanes; ++i) v.lane[i] = i < valid ? p[i] : T(0.0f);
  return v;
}

template <int lanes, typename T>
__device__ __forceinline__ void store_some(T* p, const Vec<T, lanes>& v, std::int64_t valid, bool vector) {
  if (planted_bug == Bug::store_past_end) ++valid;
  if (vector && valid >= lanes) return store_vec<lanes>(planted_bug == Bug::misaligned_store ? p + 1 : p, v);
#pragma unroll
  for (int i = 0; i < lanes; ++i) {
    if (i < valid) p[i] = v.lane[i];
  }
}

// The entry of b for element `start` of x, and how far `start` is into that entry's run.
struct BiasPosition {
  std::int64_t entry, offset;
};

__device__ __forceinline__ BiasPosition bias_position(std::int64_t start, const BiasActParams& p) {
  if (p.count <= 0xffffffffll) {  // 64-bit division is slow
    const auto i = static_cast<std::uint32_t>(start), step = static_cast<std::uint32_t>(p.bias_step);
    return {i / step % static_cast<std::uint32_t>(p.bias_count), i % step};
  }
  return {start / p.bias_step % p.bias_count, start % p.bias_step};
}

constexpr int bias_act_threads = 256;

template <typename T, int order>
__global__ void __launch_bounds__(bias_act_threads) bias_act_kernel(BiasActParams p) {
  using A = accumulate_t<T>;
  constexpr int lanes = lanes16<T>;
  const T *x = static_cast<const T*>(p.x), *g = static_cast<const T*>(p.g), *b = static_cast<const T*>(p.b);
  T* y = static_cast<T*>(p.y);
  const bool vector = is_aligned<lanes>(x) && is_aligned<lanes>(y) && (order == 0 || is_aligned<lanes>(g));
  const std::int64_t stride = std::int64_t{lanes} * gridDim.x * bias_act_threads;
  for (std::int64_t i = (std::int64_t{blockIdx.x} * bias_act_threads + threadIdx.x) * lanes; i < p.count; i += stride) {
    const std::int64_t valid = p.count - i;
    Vec<T, lanes> value = load_some<lanes>(x + i, valid, vector);
    Vec<T, lanes> cotangent{};
    if constexpr (order > 0) cotangent = load_some<lanes>(g + i, valid, vector);
    BiasPosition at = b ? bias_position(i, p) : BiasPosition{0, 0};
#pragma unroll
    for (int k = 0; k < lanes; ++k) {
      A v = static_cast<A>(value.lane[k]);
      if (b) {
        v += static_cast<A>(b[at.entry]);
        if (++at.offset == p.bias_step) at = {at.entry + 1 == p.bias_count ? 0 : at.entry + 1, 0};
      }
      value.lane[k] = static_cast<T>(bias_act_element<order>(v, static_cast<A>(cotangent.lane[k]), p));
    }
    store_some<lanes>(y + i, value, valid, vector);
  }
}

template <typename T>
void bias_act_launch_typed(const BiasActParams& p, int order, cudaStream_t stream) {
  const std::int64_t blocks = ceil_div<std::int64_t>(p.count, std::int64_t{lanes16<T>} * bias_act_threads);
  const dim3 grid{static_cast<unsigned>(smaller(blocks, max_grid_yz))}, block{bias_act_threads};
  switch (order) {
    case 0: return launch(bias_act_kernel<T, 0>, grid, block, 0, stream, p);
    case 1: return launch(bias_act_kernel<T, 1>, grid, block, 0, stream, p);
    case 2: return launch(bias_act_kernel<T, 2>, grid, block, 0, stream, p);
  }
  throw std::invalid_argument("bias_act has derivatives of order 1 and 2, not " + std::to_string(order));
}

inline void bias_act_launch(const BiasActParams& p, Dtype dtype, int order, cudaStream_t stream) {
  if (p.count == 0) return;
  dispatch(dtype, [&](auto zero) { bias_act_launch_typed<decltype(zero)>(p, order, stream); });
}

}  // namespace glad
