// Instance norm, ReLU and the mean of 2 x 2, and its first and second derivatives: a plane at a time, in the first cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels.h"
#include "vector.h"

namespace glad::GLAD_ISA {

template <class T>
class NormPoolTask {
  using V = Vec<T>;
  static constexpr int L = kLanes<T>;

 public:
  explicit NormPoolTask(const NormPool& p)
      : p_(p), m_(p.h * p.w), s_(padded(m_)), t_(padded(m_)), u_(padded(m_)), e_(padded(m_)) {}

  void run(int64_t plane) {
    const T* x = at(p_.x, plane, m_);
    const T weight = *at(p_.weight, plane % p_.c, 1), bias = *at(p_.bias, plane % p_.c, 1);
    const T mean = sum(x) / m_;
    const T variance = reduce([&](V v, int64_t) { return (v - mean) * (v - mean); }, x) / m_;
    // Where squares overflow the result is NaN, as torch's is: dividing by infinity would hide that a run has diverged.
    r_ = std::isfinite(variance) ? T(1) / std::sqrt(variance + T(p_.eps)) : std::numeric_limits<T>::quiet_NaN();
    mean_ = mean;
    scale_ = weight * r_, shift_ = bias - mean * scale_;
    switch (p_.order) {
      case 0: return forward(plane, x);
      case 1: return first(plane, x);
      default: return second(plane, x, weight);
    }
  }

 private:
  static int64_t padded(int64_t n) { return (n + L - 1) / L * L; }
  static const T* at(const char* p, int64_t i, int64_t size) { return reinterpret_cast<const T*>(p) + i * size; }
  static T* at(char* p, int64_t i, int64_t size) { return reinterpret_cast<T*>(p) + i * size; }

  // f(vector of x, its index) for all of the plane, the last one with zeros behind its end, which `keep` is told.
  template <class F>
  void each(const T* x, F f) const {
    int64_t i = 0;
    for (; i + L <= m_; i += L) f(load<V>(x + i), i, L);
    if (i < m_) f(partial(x + i, m_ - i), i, m_ - i);
  }
  static V partial(const T* x, int64_t n) {
    T part[L] = {};
    std::copy_n(x, n, part);
    return load<V>(part);
  }
  static V first_of(V v, int64_t n) {
    for (int64_t l = n; l < L; ++l) v[l] = 0;
    return v;
  }
  static void write(T* y, V v, int64_t n) {
    if (n == L) return store(y, v);
    T part[L];
    store(part, v);
    std::copy_n(part, n, y);
  }
  template <class F>
  T reduce(F f, const T* x) const {
    V total{};
    each(x, [&](V v, int64_t i, int64_t n) { total += n == L ? f(v, i) : first_of(f(v, i), n); });
    T sum = 0;
    for (int l = 0; l < L; ++l) sum += total[l];
    return sum;
  }
  T sum(const T* x) const {
    return reduce([](V v, int64_t) { return v; }, x);
  }

  V normal(V x) const { return (x - mean_) * r_; }
  V active(V x) const { return x * scale_ + shift_; }  // what the ReLU sees

  // y [h / 2, w / 2] = the mean of each 2 x 2 of s [h, w].
  void pool(const T* s, T* y) const {
    for (int64_t i = 0; i < p_.h; i += 2, y += p_.w / 2) {
      const T *a = s + i * p_.w, *b = a + p_.w;
      for (int64_t j = 0; j < p_.w / 2; ++j) y[j] = T(0.25) * ((a[2 * j] + a[2 * j + 1]) + (b[2 * j] + b[2 * j + 1]));
    }
  }

  void forward(int64_t plane, const T* x) {
    each(x, [&](V v, int64_t i, int64_t n) {
      const V z = active(v);
      write(&s_[i], z < 0 ? V{} : z, n);  // NaN stays
    });
    pool(s_.data(), at(p_.y, plane, m_ / 4));
  }

  // t_ = the gradient in what the norm gives.
  void spread(int64_t plane, const T* x) {
    const T* g = at(p_.g, plane, m_ / 4);
    for (int64_t i = 0; i < p_.h; i += 2, g += p_.w / 2) {
      T *a = &t_[i * p_.w], *b = a + p_.w;
      for (int64_t j = 0; j < p_.w / 2; ++j) a[2 * j] = a[2 * j + 1] = T(0.25) * g[j];
      std::copy_n(a, p_.w, b);
    }
    each(x, [&](V v, int64_t i, int64_t n) { write(&t_[i], active(v) <= 0 ? V{} : load<V>(&t_[i]), n); });
  }

  void first(int64_t plane, const T* x) {
    spread(plane, x);
    const T of_bias = sum(t_.data());
    const T of_weight = reduce([&](V v, int64_t i) { return load<V>(&t_[i]) * normal(v); }, x);
    const T mean = of_bias / m_, slope = of_weight / m_;
    T* dx = at(p_.dx, plane, m_);
    each(x, [&](V v, int64_t i, int64_t n) { write(dx + i, scale_ * (load<V>(&t_[i]) - mean - normal(v) * slope), n); });
    *at(p_.dweight, plane, 1) = of_weight, *at(p_.dbias, plane, 1) = of_bias;
  }

  // The derivatives of <u, dx> + p dweight + q dbias in g, x and the weight.
  void second(int64_t plane, const T* x, T weight) {
    spread(plane, x);
    const T* u = at(p_.u, plane, m_);
    const T p = *at(p_.p, plane, 1), q = *at(p_.q, plane, 1);
    each(u, [&](V v, int64_t i, int64_t n) { write(&u_[i], v, n); });  // may be read beyond its end
    const T mean = sum(u) / m_;
    const T slope = reduce([&](V v, int64_t i) { return load<V>(&u_[i]) * normal(v); }, x) / m_;
    const T h = reduce([&](V v, int64_t i) { return load<V>(&t_[i]) * normal(v); }, x) / m_;
    const auto rest = [&](V v, int64_t i) { return load<V>(&u_[i]) - mean - normal(v) * slope; };
    const T along = reduce([&](V v, int64_t i) { return load<V>(&t_[i]) * rest(v, i); }, x);
    each(x, [&](V v, int64_t i, int64_t n) {
      const V t = load<V>(&t_[i]);
      write(&s_[i], active(v) <= 0 ? V{} : scale_ * rest(v, i) + p * normal(v) + q, n);
      write(&e_[i], p * t - scale_ * (t * slope + h * load<V>(&u_[i])), n);
    });
    pool(s_.data(), at(p_.y, plane, m_ / 4));
    const T e = sum(e_.data()) / m_;
    const T es = reduce([&](V v, int64_t i) { return load<V>(&e_[i]) * normal(v); }, x) / m_;
    const T by_scale = weight * along * r_ * r_ / m_;
    T* dx = at(p_.dx, plane, m_);
    each(x, [&](V v, int64_t i, int64_t n) {
      const V z = normal(v);
      write(dx + i, r_ * (load<V>(&e_[i]) - e - z * es) - by_scale * z, n);
    });
    *at(p_.dweight, plane, 1) = r_ * along;
  }

  const NormPool& p_;
  int64_t m_;
  T mean_ = 0, r_ = 0, scale_ = 0, shift_ = 0;
  std::vector<T> s_, t_, u_, e_;
};

}  // namespace glad::GLAD_ISA
