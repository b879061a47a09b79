// Rows of a block of planes, one plane per vector lane: what lies in memory as rows becomes vectors of neighbours.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <optional>

#include "kernels.h"
#include "vector.h"

namespace glad::GLAD_ISA {

// Zeroed memory for vectors.
template <class V>
class Scratch {
 public:
  explicit Scratch(int64_t count) : data_(static_cast<V*>(::operator new(count * sizeof(V), kAlign))) {
    std::memset(static_cast<void*>(data_.get()), 0, count * sizeof(V));
  }
  V* get() const { return data_.get(); }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(V* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<V, Free> data_;
};

template <class A>
int64_t count_blocks(const Image& x) {
  const int64_t lanes = kLanes<A>;
  return x.channels_last ? x.n * ((x.c + lanes - 1) / lanes) : (x.n * x.c + lanes - 1) / lanes;
}

// The planes of one block: lane l is plane `first + l`, lanes beyond `live` repeat the last one. Arithmetic is in A
// whatever the type in memory, so that only rows' ends, here, are compiled for every type.
template <class A>
class Block {
  static constexpr int L = kLanes<A>;

 public:
  using V = Vec<A>;

  Block(const Image& x, int64_t block) : x_(x) {
    const int64_t per_image = (x.c + L - 1) / L;
    const int64_t first = x.channels_last ? block / per_image * x.c + block % per_image * L : block * L;
    const int64_t end = x.channels_last ? (block / per_image + 1) * x.c : x.n * x.c;
    live_ = static_cast<int>(std::min<int64_t>(L, end - first));
    for (int l = 0; l < L; ++l) {
      const int64_t p = first + std::min(l, live_ - 1);
      channel_[l] = p % x.c;
      offset_[l] = p / x.c * x.sn + channel_[l] * x.sc;
    }
    whole_ = x.channels_last && live_ == L;
    square_ = !x.channels_last && x.w >= L;
  }

  V bias(const void* b) const {
    return with_type([&](auto element) {
      using T = decltype(element);
      T values[L] = {};
      for (int l = 0; l < L && b; ++l) values[l] = static_cast<const T*>(b)[channel_[l]];
      return Element<T>::read(values);
    });
  }

  // Row y as w vectors, plus `bias`.
  void read(int64_t y, const V& bias, V* row) const {
    with_type([&](auto element) { return read_as<decltype(element)>(y, bias, row), V{}; });
  }
  void write(int64_t y, const V* row) const {
    with_type([&](auto element) { return write_as<decltype(element)>(y, row), V{}; });
  }

 private:
  template <class F>
  V with_type(F f) const {
    if constexpr (std::is_same_v<A, double>) {
      return f(double{});
    } else {
      return x_.type == Type::f32 ? f(float{}) : x_.type == Type::f16 ? f(Half{}) : f(BFloat16{});
    }
  }

  template <class T>
  T* plane(int l, int64_t y) const {
    return reinterpret_cast<T*>(x_.data) + offset_[l] + y * x_.sh;
  }

  template <class T>
  void read_as(int64_t y, V bias, V* row) const {
    if (whole_) {
      for (int64_t x = 0; x < x_.w; ++x) row[x] = Element<T>::read(plane<T>(0, y) + x * x_.sw) + bias;
    } else if (square_) {
      const int64_t last = x_.w - L;
      for (int64_t x = 0; x < x_.w; x += L) read_square<T>(y, std::min(x, last), bias, row + std::min(x, last));
    } else {
      for (int64_t x = 0; x < x_.w; ++x) {
        T values[L];
        for (int l = 0; l < L; ++l) values[l] = plane<T>(l, y)[x * x_.sw];
        row[x] = Element<T>::read(values) + bias;
      }
    }
  }

  template <class T>
  void write_as(int64_t y, const V* row) const {
    if (whole_) {
      for (int64_t x = 0; x < x_.w; ++x) Element<T>::write(plane<T>(0, y) + x * x_.sw, row[x]);
    } else if (square_) {
      const int64_t last = x_.w - L;
      for (int64_t x = 0; x < x_.w; x += L) write_square<T>(y, std::min(x, last), row + std::min(x, last));
    } else {
      for (int64_t x = 0; x < x_.w; ++x) {
        T values[L];
        Element<T>::write(values, row[x]);
        for (int l = 0; l < live_; ++l) plane<T>(l, y)[x * x_.sw] = values[l];
      }
    }
  }

  template <class T>
  GLAD_INLINE void read_square(int64_t y, int64_t x, V bias, V* row) const {
    V square[L];
#pragma GCC unroll 16
    for (int l = 0; l < L; ++l) square[l] = Element<T>::read(plane<T>(l, y) + x);
    transpose<A>(square);
#pragma GCC unroll 16
    for (int l = 0; l < L; ++l) row[l] = square[l] + bias;
  }

  template <class T>
  GLAD_INLINE void write_square(int64_t y, int64_t x, const V* row) const {
    V square[L];
#pragma GCC unroll 16
    for (int l = 0; l < L; ++l) square[l] = row[l];
    transpose<A>(square);
#pragma GCC unroll 16
    for (int l = 0; l < L; ++l)
      if (l < live_) Element<T>::write(plane<T>(l, y) + x, square[l]);
  }

  Image x_;
  int64_t offset_[L], channel_[L];
  int live_;
  bool whole_, square_;
};

// The last rows of a block that a vertical filter looks at; rows outside the image are zeros.
template <class A>
class Rows {
 public:
  using V = Vec<A>;

  // Each row has room for `margin` zeros on both sides.
  Rows(const Image& x, int64_t depth, int64_t margin) : h_(x.h), margin_(margin), width_(x.w + 2 * margin) {
    while (size_ < depth) size_ *= 2;
    data_.emplace(width_ * (size_ + 1));
  }

  void start(const Block<A>& block, V offset) {
    block_ = &block, offset_ = offset, next_ = INT64_MIN;
  }

  // Row y; the calls that follow may go back by less than `depth`.
  const V* row(int64_t y) {
    if (y < 0 || y >= h_) return data_->get() + width_ * size_ + margin_;
    if (y >= next_) {
      block_->read(y, offset_, slot(y));
      next_ = y + 1;
    }
    return slot(y);
  }

 private:
  V* slot(int64_t y) const { return data_->get() + width_ * (y & (size_ - 1)) + margin_; }

  int64_t h_, margin_, width_, size_ = 1, next_ = 0;
  const Block<A>* block_ = nullptr;
  V offset_{};
  std::optional<Scratch<V>> data_;
};

}  // namespace glad::GLAD_ISA
