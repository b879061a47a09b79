// bias_act and its derivatives: chunks that fit the first cache are read, worked on in A, and written.
#pragma once

#include <algorithm>

#include "activations.h"
#include "kernels.h"

namespace glad::GLAD_ISA {

template <class T>
class BiasActTask {
  using A = typename Element<T>::A;
  using V = Vec<A>;
  static constexpr int L = kLanes<A>, kChunk = 1024;

 public:
  explicit BiasActTask(const BiasAct& p) : p_(p) {}

  void run(int64_t begin, int64_t end) {
    const A alpha = p_.alpha;
    using F = Activate<0, V>;
    if (p_.order == 0 && p_.act == Activation::linear) return direct(begin, end, [](V x) { return x; });
    if (p_.order == 0 && p_.act == Activation::lrelu) return direct(begin, end, [=](V x) { return F::lrelu(x, alpha); });
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t n = std::min<int64_t>(kChunk, end - i);
      biased(i, n);
      if (p_.order) {
        derivative(i, n);
      } else {
        activate<0>(p_, x_, x_, n);
        for (int64_t k = 0; k < n; k += L) store(x_ + k, scaled(load<V>(x_ + k)));
      }
      T* y = reinterpret_cast<T*>(p_.y) + i;
      int64_t k = 0;
      for (; k + L <= n; k += L) Element<T>::write(y + k, load<V>(x_ + k));
      T part[L];
      Element<T>::write(part, load<V>(x_ + k));
      std::copy_n(part, n - k, y + k);
    }
  }

 private:
  // In one pass, what takes less time than memory does.
  template <class F>
  void direct(int64_t begin, int64_t end, F act) const {
    const T* b = reinterpret_cast<const T*>(p_.b);
    if (!b) {
      constexpr T none{};
      span<false>(begin, end, &none, act);
    } else if (p_.bias_stride == 1) {
      for (int64_t i = begin, stop; i < end; i = stop) {
        stop = std::min(end, (i / p_.bias_count + 1) * p_.bias_count);
        span<true>(i, stop, b + i % p_.bias_count, act);
      }
    } else {
      for (int64_t i = begin, stop; i < end; i = stop) {
        stop = std::min(end, (i / p_.bias_stride + 1) * p_.bias_stride);
        span<false>(i, stop, b + i / p_.bias_stride % p_.bias_count, act);
      }
    }
  }

  // [begin, end) with one bias, or one for each element.
  template <bool Each, class F>
  void span(int64_t begin, int64_t end, const T* b, F act) const {
    const T* x = reinterpret_cast<const T*>(p_.x) + begin;
    T* y = reinterpret_cast<T*>(p_.y) + begin;
    T same[L];
    std::fill_n(same, L, *b);
    const V bias = Element<T>::read(same);
    const auto value = [&](const T* from, const T* with) {
      return scaled(act(Element<T>::read(from) + (Each ? Element<T>::read(with) : bias)));
    };
    const int64_t n = end - begin;
    int64_t k = 0;
    for (; k + L <= n; k += L) Element<T>::write(y + k, value(x + k, b + k));
    T part[L] = {}, with[L] = {};
    std::copy_n(x + k, n - k, part);
    if (Each) std::copy_n(b + k, n - k, with);
    Element<T>::write(part, value(part, with));
    std::copy_n(part, n - k, y + k);
  }

  // to = elements from p on, as A.
  static void read(const T* p, int64_t n, A* to) {
    int64_t k = 0;
    for (; k + L <= n; k += L) store(to + k, Element<T>::read(p + k));
    T part[L] = {};
    std::copy_n(p + k, n - k, part);
    store(to + k, Element<T>::read(part));
  }

  // x_ = x + b, in spans over which b is constant, or consecutive.
  void biased(int64_t i, int64_t n) {
    read(reinterpret_cast<const T*>(p_.x) + i, n, x_);
    if (!p_.b) return;
    const T* b = reinterpret_cast<const T*>(p_.b);
    for (int64_t k = 0; k < n;) {
      const int64_t c = (i + k) / p_.bias_stride % p_.bias_count;
      if (p_.bias_stride == 1) {
        const int64_t count = std::min(n - k, p_.bias_count - c);
        read(b + c, count, other_);
        add(k, k + count, [&](int64_t j) { return load<V>(other_ + j - k); });
        k += count;
      } else {
        const int64_t stop = std::min(n, ((i + k) / p_.bias_stride + 1) * p_.bias_stride - i);
        T same[L] = {b[c]};
        const V bias = V{} + Element<T>::read(same)[0];
        add(k, stop, [=](int64_t) { return bias; });
        k = stop;
      }
    }
  }

  // x_[k, end) += what(k), a vector.
  template <class F>
  void add(int64_t k, int64_t end, F what) {
    for (; k + L <= end; k += L) store(x_ + k, load<V>(x_ + k) + what(k));
    if (k == end) return;
    const V rest = what(k);
    for (int l = 0; k < end; ++k, ++l) x_[k] += rest[l];
  }

  GLAD_INLINE V scaled(V y) const {
    const A gain = p_.gain, clamp = p_.clamp;
    y *= gain;
    if (clamp < 0) return y;
    y = y > clamp ? V{} + clamp : y;  // NaN stays
    return y < -clamp ? V{} - clamp : y;
  }

  // x_ = g * gain * derivative of the activation at x_, 0 where clamped.
  void derivative(int64_t i, int64_t n) {
    const A gain = p_.gain, clamp = p_.clamp;
    if (clamp >= 0) activate<0>(p_, x_, whole_, n);
    p_.order == 1 ? activate<1>(p_, x_, x_, n) : activate<2>(p_, x_, x_, n);
    read(reinterpret_cast<const T*>(p_.g) + i, n, other_);
    for (int64_t k = 0; k < n; k += L) {
      V y = load<V>(x_ + k) * gain * load<V>(other_ + k);
      if (clamp >= 0) {
        const V whole = load<V>(whole_ + k) * gain;
        y = ((whole > clamp) | (whole < -clamp)) ? V{} : y;
      }
      store(x_ + k, y);
    }
  }

  const BiasAct& p_;
  alignas(64) A x_[kChunk + L] = {}, other_[kChunk + L] = {}, whole_[kChunk + L] = {};
};

}  // namespace glad::GLAD_ISA
