// Rows of planes as vectors over channels, and back.
#pragma once

#include <algorithm>

#include "vector.h"

namespace glad::GLAD_ISA {

// The channels [first, first + L) of an image's rows as vectors, and back. Pixels of the scratch lie `pitch` vectors
// apart from row to row. Lanes behind the last channel are zero, and are not written.
class ChannelVectors {
  using V = Vec<float>;
  static constexpr int L = kLanes<float>;

 public:
  ChannelVectors(int64_t planes, int64_t plane, int64_t width)
      : live_(static_cast<int>(std::min<int64_t>(L, planes))), plane_(plane), width_(width) {}

  // Rows [y, y_end) of the planes at x, to a scratch whose first vector is row y, column 0.
  void read(const float* x, int64_t y, int64_t y_end, V* to, int64_t pitch) const {
    each_group(y, y_end, [&](int64_t q, int64_t count, int64_t row, int64_t column) {
      V r[L];
#pragma GCC unroll 16
      for (int l = 0; l < L; ++l) r[l] = l < live_ ? some(x + l * plane_ + q, count) : V{};
      transpose<float>(r);
      V* at = to + (row - y) * pitch + column;
      for_pixels(count, column, pitch, at, [&](int i, V* p) { *p = r[i]; });
    });
  }

  void write(const V* from, int64_t pitch, float* x, int64_t y, int64_t y_end, V bias) const {
    each_group(y, y_end, [&](int64_t q, int64_t count, int64_t row, int64_t column) {
      V r[L] = {};
      const V* at = from + (row - y) * pitch + column;
      for_pixels(count, column, pitch, at, [&](int i, const V* p) { r[i] = *p + bias; });
      transpose<float>(r);
      for (int l = 0; l < live_; ++l) {
        if (count == L) {
          store(x + l * plane_ + q, r[l]);
        } else {
          float part[L];
          store(part, r[l]);
          std::copy_n(part, count, x + l * plane_ + q);
        }
      }
    });
  }

 private:
  static V some(const float* p, int64_t count) {
    if (count == L) return load<V>(p);
    float part[L] = {};
    std::copy_n(p, count, part);
    return load<V>(part);
  }

  // Groups of L pixels that follow each other in memory; the last one lies over the one before where it must.
  template <class F>
  void each_group(int64_t y, int64_t y_end, F f) const {
    const int64_t begin = y * width_, end = y_end * width_, count = std::min<int64_t>(L, end - begin);
    for (int64_t q = begin, row = y, column = 0; q < end;) {
      f(q, count, row, column);
      const int64_t next = std::min(q + L, end - count);
      if (next <= q) break;
      column += next - q, q = next;
      while (column >= width_) column -= width_, ++row;
    }
  }
  template <class P, class F>
  void for_pixels(int64_t count, int64_t column, int64_t pitch, P at, F f) const {
    if (column + L <= width_) {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) f(i, at + i);
      return;
    }
    for (int i = 0; i < count; ++i) {
      f(i, at);
      ++at;
      if (++column == width_) column = 0, at += pitch - width_;
    }
  }

  int live_;
  int64_t plane_, width_;
};

}  // namespace glad::GLAD_ISA
