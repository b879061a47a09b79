// The nine activations with their first two derivatives, on vectors.
#pragma once

#include <cmath>

#include "kernels.h"
#include "vector.h"

namespace glad::GLAD_ISA {

template <class A, class F>
GLAD_INLINE Vec<A> each(Vec<A> v, F f) {
  for (int l = 0; l < kLanes<A>; ++l) v[l] = f(v[l]);
  return v;
}

// e^r - 1 by its series, for |r| <= ln(2) / 2 to the last bit of a float.
GLAD_INLINE Vec<float> expm1_series(Vec<float> r) {
  Vec<float> p = r * (1.f / 5040) + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  return p * r * r + r;
}

// x = k ln(2) + r with an integer k; scale = 2^k. Beyond the range of a float's exponent x is held back.
struct Reduced {
  Vec<float> r, scale;

  explicit GLAD_INLINE Reduced(Vec<float> x) {
    using V = Vec<float>;
    const V low = x < -87.3f ? V{} - 87.3f : x, y = low > 88.f ? V{} + 88.f : low;  // NaN stays
    const V shifted = y * 1.44269504f + 12582912.f, k = shifted - 12582912.f;     // to the nearest integer
    r = (y - k * 0.693359375f) + k * 2.12194440e-4f;                              // ln(2) in two parts
    scale = bits<V>((__builtin_convertvector(k == k ? k : V{}, Mask<float>) + 127) << 23);
  }
};

GLAD_INLINE Vec<float> exp(Vec<float> x) {
  const Reduced x2(x);
  return x > 88.7f ? Vec<float>{} + INFINITY : expm1_series(x2.r) * x2.scale + x2.scale;
}
GLAD_INLINE Vec<double> exp(Vec<double> x) {
  return each<double>(x, [](double v) { return std::exp(v); });
}

// e^x - 1 without cancellation: 2^k (e^r - 1) + (2^k - 1).
GLAD_INLINE Vec<float> expm1(Vec<float> x) {
  const Reduced x2(x);
  return x > 88.7f ? Vec<float>{} + INFINITY : expm1_series(x2.r) * x2.scale + (x2.scale - 1.f);
}
GLAD_INLINE Vec<double> expm1(Vec<double> x) {
  return each<double>(x, [](double v) { return std::expm1(v); });
}

// ln(1 + t) for t in [0, 1]: 2 artanh(t / (2 + t)).
GLAD_INLINE Vec<float> log1p(Vec<float> t) {
  const Vec<float> s = t / (t + 2.f), q = s * s;
  Vec<float> p = q * (1.f / 17) + 1.f / 15;
  for (float odd : {13.f, 11.f, 9.f, 7.f, 5.f, 3.f}) p = p * q + 1.f / odd;
  return 2.f * (p * q * s + s);
}
GLAD_INLINE Vec<double> log1p(Vec<double> t) {
  return each<double>(t, [](double v) { return std::log1p(v); });
}

template <class V>
GLAD_INLINE V sigmoid(V x) {
  const V e = exp(x < 0 ? x : -x);
  return (x < 0 ? e : V{} + 1) / (e + 1);
}

// Each: value, first and second derivative at x.
template <int Order, class V>
struct Activate {
  template <class A>
  static GLAD_INLINE V linear(V x, A) {
    return Order == 0 ? x : V{} + (Order == 1);
  }
  template <class A>
  static GLAD_INLINE V lrelu(V x, A slope) {  // relu: slope 0
    return Order == 0 ? (x > 0 ? x : x * slope) : Order == 1 ? (x > 0 ? V{} + 1 : V{} + slope) : V{};
  }
  static GLAD_INLINE V relu(V x) {  // NaN stays
    return Order == 0 ? (x <= 0 ? V{} : x) : lrelu(x, typename std::remove_reference_t<decltype(x[0])>(0));
  }
  static GLAD_INLINE V tanh(V x) {
    const V m = expm1(x < 0 ? 2 * x : -2 * x), t = m / (m + 2), y = x < 0 ? t : -t, d = 1 - y * y;
    return Order == 0 ? y : Order == 1 ? d : -2 * y * d;
  }
  static GLAD_INLINE V sigmoid(V x) {
    const V s = GLAD_ISA::sigmoid(x), d = s * (1 - s);
    return Order == 0 ? s : Order == 1 ? d : d * (1 - 2 * s);
  }
  template <class A>
  static GLAD_INLINE V elu(V x, A scale, A below) {  // selu: the scales of both sides
    const V under = x > 0 ? V{} : x;  // NaN stays
    return x > 0 ? (Order == 0 ? x * scale : V{} + (Order == 1) * scale) : (Order == 0 ? expm1(under) : exp(under)) * below;
  }
  static GLAD_INLINE V softplus(V x) {
    if constexpr (Order == 0) return log1p(exp(x < 0 ? x : -x)) + (x < 0 ? V{} : x);
    return Activate<(Order > 1), V>::sigmoid(x);
  }
  static GLAD_INLINE V swish(V x) {
    const V s = GLAD_ISA::sigmoid(x), d = s * (1 - s);
    return Order == 0 ? x * s : Order == 1 ? s + x * d : d * (2 + x * (1 - 2 * s));
  }
};

// to[k] = the Order-th derivative at from[k], for k in [0, n) rounded up to whole vectors.
template <int Order, class A>
void activate(const BiasAct& p, const A* from, A* to, int64_t n) {
  using V = Vec<A>;
  using F = Activate<Order, V>;
  constexpr A scale = 1.0507009873554804934193349852946, below = 1.7580993408473768599402175208123;  // of selu
  const A alpha = p.alpha;
  const auto all = [&](auto f) {
    for (int64_t k = 0; k < n; k += kLanes<A>) store(to + k, f(load<V>(from + k)));
  };
  switch (p.act) {
    case Activation::linear: return all([=](V x) { return F::linear(x, alpha); });
    case Activation::relu: return all([](V x) { return F::relu(x); });
    case Activation::lrelu: return all([=](V x) { return F::lrelu(x, alpha); });
    case Activation::tanh: return all([](V x) { return F::tanh(x); });
    case Activation::sigmoid: return all([](V x) { return F::sigmoid(x); });
    case Activation::elu: return all([](V x) { return F::elu(x, A(1), A(1)); });
    case Activation::selu: return all([](V x) { return F::elu(x, scale, below); });
    case Activation::softplus: return all([](V x) { return F::softplus(x); });
    case Activation::swish: return all([](V x) { return F::swish(x); });
  }
}

}  // namespace glad::GLAD_ISA
