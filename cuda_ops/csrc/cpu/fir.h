// One-dimensional filters over vectors: across a row of them, and down rows of them.
#pragma once

#include <algorithm>
#include <new>
#include <numeric>
#include <vector>

#include "kernels.h"
#include "vector.h"

namespace glad::GLAD_ISA {

inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
inline int64_t ceil_div(int64_t a, int64_t b) { return -floor_div(-a, b); }

// Memory for a std::vector of vectors.
template <class V>
struct Aligned {
  using value_type = V;
  V* allocate(size_t n) { return static_cast<V*>(::operator new(n * sizeof(V), std::align_val_t{64})); }
  void deallocate(V* p, size_t) { ::operator delete(p, std::align_val_t{64}); }
  bool operator==(const Aligned&) const { return true; }
};

// A Filter split into its phases: the taps that meet samples, not stuffed zeros, depend on the output's position.
template <class A>
class Fir {
 public:
  explicit Fir(const Filter& f) : up_(f.up), pad_(f.pad), phases_(f.up) {
    const int64_t count = static_cast<int64_t>(f.taps.size());
    for (int64_t j = 0; j < count; ++j) phases_[j % up_].push_back(static_cast<A>(f.taps[j]));
    longest_ = static_cast<int64_t>(phases_[0].size());
    for (int64_t phase = up_ - 1; phase >= 0; --phase)
      for (A tap : phases_[phase]) grouped_.push_back(Vec<A>{} + tap);
  }

  // The first sample under the filter for output m, and the taps from there on.
  int64_t first(int64_t m) const { return ceil_div(m - pad_, up_); }
  const std::vector<A>& taps(int64_t m) const { return phases_[first(m) * up_ - (m - pad_)]; }
  // The up outputs from m = group(i) on have first(m) = i, and these taps, one after the other.
  int64_t group(int64_t i) const { return up_ * (i - 1) + pad_ + 1; }
  const Vec<A>* grouped() const { return grouped_.data(); }
  int64_t up() const { return up_; }
  int64_t longest() const { return longest_; }
  bool uneven() const { return grouped_.size() != static_cast<size_t>(longest_ * up_); }

 private:
  int64_t up_, pad_, longest_;
  std::vector<std::vector<A>> phases_;
  std::vector<Vec<A>, Aligned<Vec<A>>> grouped_;
};

// N groups of U outputs, each K taps long and each group Step samples after the one before. Every sample is loaded once
// and serves all outputs that it touches, whose sums stay in registers.
template <int U, int Step, int K, int N, class V, class At, class Sink>
GLAD_INLINE void stencil(const V* taps, At at, Sink sink) {
  V sums[N * U] = {};
#pragma GCC unroll 64
  for (int i = 0; i < Step * (N - 1) + K; ++i) {
    const V sample = at(i);
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n)
#pragma GCC unroll 8
      for (int u = 0; u < U; ++u)
        if (const int k = i - Step * n; k >= 0 && k < K) sums[n * U + u] += taps[u * K + k] * sample;
  }
#pragma GCC unroll 8
  for (int i = 0; i < N * U; ++i) sink(i, sums[i]);
}

// The stencils of StyleGAN's filters; anything else, and double, takes the loops below with any number of taps.
enum class Shape { up2, up4, down2, down4, other };

template <class A>
Shape shape_of(const Fir<A>& f, int64_t step) {
  if (std::is_same_v<A, double> || f.uneven()) return Shape::other;
  if (step == 1 && f.longest() == 6) return f.up() == 2 ? Shape::up2 : f.up() == 4 ? Shape::up4 : Shape::other;
  if (f.up() == 1 && f.longest() == 6 * step) return step == 2 ? Shape::down2 : step == 4 ? Shape::down4 : Shape::other;
  return Shape::other;
}

// The shapes that a caller can meet: the others are not compiled for it.
enum class Use { up, down, both, none };

// `groups` stencils of one shape side by side: samples row[Step * g ...] to outputs U * g and on.
template <int U, int Step, int K, int N, class V, class Sink>
GLAD_INLINE void stencils(const V* taps, const V* row, int64_t groups, Sink sink) {
  V c[U * K];
  std::copy_n(taps, U * K, c);
  int64_t g = 0;
  for (; g + N <= groups; g += N)
    stencil<U, Step, K, N>(c, [=](int i) { return row[Step * g + i]; }, [&](int i, V s) { sink(U * g + i, s); });
  for (; g < groups; ++g)
    stencil<U, Step, K, 1>(c, [=](int i) { return row[Step * g + i]; }, [&](int i, V s) { sink(U * g + i, s); });
}

// sink(i, sum over k of c[k] * at(i, k)) for i in [0, n), four sums at a time: they hide an addition's latency.
template <class A, class At, class Sink>
GLAD_INLINE void sums(int64_t n, const std::vector<A>& c, At at, Sink sink) {
  using V = Vec<A>;
  const int64_t taps = c.size();
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    V s[4] = {};
    for (int64_t k = 0; k < taps; ++k)
#pragma GCC unroll 4
      for (int u = 0; u < 4; ++u) s[u] += at(i + u, k) * c[k];
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) sink(i + u, s[u]);
  }
  for (; i < n; ++i) {
    V s{};
    for (int64_t k = 0; k < taps; ++k) s += at(i, k) * c[k];
    sink(i, s);
  }
}

// sink(o, y[step * o + offset]) for o in [0, n), where y is `row` filtered: one pass for each phase that occurs. A
// stencil of groups also gives up to up - 1 outputs before and after those.
template <Use use, class A, class Sink>
void across(const Fir<A>& fir, const Vec<A>* row, int64_t step, int64_t offset, int64_t n, Sink sink) {
  const int64_t first = fir.first(offset);
  if constexpr (std::is_same_v<A, float>) {
    const Shape shape = use == Use::none ? Shape::other : shape_of(fir, step);
    if constexpr (use == Use::up || use == Use::both) {
      const auto from = [&](int64_t i, Vec<A> s) { sink(i + fir.group(first) - offset, s); };
      const int64_t groups = fir.first(step * (n - 1) + offset) - first + 1;
      if (shape == Shape::up2) return stencils<2, 1, 6, 4>(fir.grouped(), row + first, groups, from);
      if (shape == Shape::up4) return stencils<4, 1, 6, 2>(fir.grouped(), row + first, groups, from);
    }
    if constexpr (use == Use::down || use == Use::both) {
      if (shape == Shape::down2) return stencils<1, 2, 12, 8>(fir.grouped(), row + first, n, sink);
      if (shape == Shape::down4) return stencils<1, 4, 24, 4>(fir.grouped(), row + first, n, sink);
    }
  }
  const int64_t period = fir.up() / std::gcd(fir.up(), step), stride = step * period / fir.up();
  for (int64_t phase = 0; phase < std::min(period, n); ++phase) {
    const int64_t m = step * phase + offset;
    const Vec<A>* from = row + fir.first(m);
    sums((n - phase + period - 1) / period, fir.taps(m),
         [&](int64_t i, int64_t k) { return from[stride * i + k]; },
         [&](int64_t i, Vec<A> s) { sink(phase + i * period, s); });
  }
}

// Rows m, m + step, ... of a map filtered down its rows, as many as one stencil gives.
template <class A, Use use>
class Along {
  using V = Vec<A>;

 public:
  Along(const Fir<A>& fir, int64_t step) : fir_(fir), step_(step), shape_(shape_of(fir, step)) {}

  // How many rows one call gives, and the most samples that it looks at.
  int64_t batch() const { return grouped() ? 8 : shape_ == Shape::down2 ? 4 : shape_ == Shape::down4 ? 2 : 1; }
  int64_t depth() const { return fir_.longest() + (fir_.up() > 1 ? batch() / fir_.up() : step_ * (batch() - 1)); }
  // The first row of the batch that has row m: stencils of groups begin where a group does.
  int64_t begin(int64_t m) const { return grouped() ? fir_.group(fir_.first(m)) : m; }
  // Rows to ask for when `wanted` are: groups come whole.
  int64_t count(int64_t wanted) const { return grouped() ? batch() : std::min(batch(), wanted); }

  // put(i, x, value) for `count` rows from m = begin(m) on, x in [0, n); row(i) is the i-th row of samples.
  template <class Row, class Put>
  void operator()(int64_t m, int64_t count, int64_t n, Row row, Put put) {
    const int64_t first = fir_.first(m);
    if constexpr (std::is_same_v<A, float>) {
      if (count == batch()) {
        if constexpr (use != Use::down) {
          if (shape_ == Shape::up2) return columns<2, 1, 6, 4>(first, n, row, put);
          if (shape_ == Shape::up4) return columns<4, 1, 6, 2>(first, n, row, put);
        }
        if constexpr (use != Use::up) {
          if (shape_ == Shape::down2) return columns<1, 2, 12, 4>(first, n, row, put);
          if (shape_ == Shape::down4) return columns<1, 4, 24, 2>(first, n, row, put);
        }
      }
    }
    for (int64_t i = 0; i < count; ++i) {
      const std::vector<A>& c = fir_.taps(m + step_ * i);
      rows_.resize(c.size());
      for (size_t k = 0; k < c.size(); ++k) rows_[k] = row(fir_.first(m + step_ * i) + k);
      sums(n, c, [&](int64_t x, int64_t k) { return rows_[k][x]; }, [&](int64_t x, V s) { put(i, x, s); });
    }
  }

 private:
  bool grouped() const { return shape_ == Shape::up2 || shape_ == Shape::up4; }

  template <int U, int Step, int K, int N, class Row, class Put>
  void columns(int64_t first, int64_t n, Row row, Put put) {
    constexpr int depth = Step * (N - 1) + K;
    const V* from[depth];
    for (int i = 0; i < depth; ++i) from[i] = row(first + i);
    V c[U * K];
    std::copy_n(fir_.grouped(), U * K, c);
    for (int64_t x = 0; x < n; ++x)
      stencil<U, Step, K, N>(c, [&](int i) { return from[i][x]; }, [&](int i, V s) { put(i, x, s); });
  }

  const Fir<A>& fir_;
  int64_t step_;
  Shape shape_;
  std::vector<const V*> rows_;
};

}  // namespace glad::GLAD_ISA
