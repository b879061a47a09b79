// filtered_lrelu streamed down each plane: one row of the up-sampled map exists at a time.
#pragma once

#include "upfirdn2d.h"

namespace glad::GLAD_ISA {

// Rows of an up-sampled image, in order: batches are up-sampled down the rows, each row then across.
template <class A>
class UpSampled {
  using V = Vec<A>;

 public:
  // Columns [begin, begin + count) of the up-sampled map.
  UpSampled(const Image& x, const Filter& across, const Filter& along, int64_t begin, int64_t count)
      : fx_(across),
        fy_(along),
        along_(fy_, 1),
        begin_(begin),
        count_(count),
        w_(x.w),
        margin_(margin(fx_, x.w, begin, begin + count - 1)),
        width_(x.w + 2 * margin_),
        rows_(x, along_.depth(), 0),
        columns_(along_.batch() * width_) {}

  void start(const Block<A>& block, V bias) {
    rows_.start(block, bias);
    next_ = INT64_MIN;
  }

  // sink(i, value) for the columns begin + i of row m, and for up to up - 1 more on both sides.
  template <class Sink>
  void row(int64_t m, Sink sink) {
    V* columns = columns_.get() + margin_;
    if (m >= next_) {
      batch_ = along_.begin(m), next_ = batch_ + along_.batch();
      along_(batch_, along_.batch(), w_, [&](int64_t i) { return rows_.row(i); },
             [=, w = width_](int64_t i, int64_t x, V s) { columns[i * w + x] = s; });
    }
    across<Use::up>(fx_, columns + (m - batch_) * width_, 1, begin_, count_, sink);
  }

 private:
  Fir<A> fx_, fy_;
  Along<A, Use::up> along_;
  int64_t begin_, count_, w_, margin_, width_, batch_ = 0, next_ = 0;
  Rows<A> rows_;
  Scratch<V> columns_;
};

template <class A>
class FilteredLreluTask {
  using V = Vec<A>;

 public:
  explicit FilteredLreluTask(const FilteredLrelu& p)
      : p_(p),
        down_x_(p.down_x),
        down_y_(p.down_y),
        along_(down_y_, p.step_y),
        begin_(down_x_.first(0)),
        count_(p.step_x * (p.y.w - 1) + down_x_.longest()),
        slack_(std::max(p.up_x.up, p.at ? p.at_x.up : 1)),
        signal_(p.x, p.up_x, p.up_y, begin_, count_),
        mid_(count_ + 2 * slack_),
        out_(along_.batch() * p.y.w) {
    if (p.at) at_.emplace(*p.at, p.at_x, p.at_y, begin_, count_);
    while (ring_ < along_.depth()) ring_ *= 2;
    narrow_.emplace(ring_ * p.y.w);
  }

  void run(int64_t task) {
    const int64_t block = task / p_.tiles, tile = task % p_.tiles;
    const Block<A> from(p_.x, block), to(p_.y, block);
    signal_.start(from, p_.at ? V{} : from.bias(p_.bias));
    std::optional<Block<A>> at;
    if (p_.at) {
      at.emplace(*p_.at, block);
      at_->start(*at, at->bias(p_.bias));
    }
    const int64_t end = p_.y.h * (tile + 1) / p_.tiles;
    int64_t next = INT64_MIN;  // row of the up-sampled map
    for (int64_t y = p_.y.h * tile / p_.tiles; y < end;) {
      const int64_t count = along_.count(end - y), m = p_.step_y * y, first = down_y_.first(m);
      const int64_t last = first + p_.step_y * (count - 1) + down_y_.longest();
      for (next = std::max(next, first); next < last; ++next) narrow(next);
      V* out = out_.get();
      along_(m, count, p_.y.w, [&](int64_t i) { return slot(i); },
             [=, w = p_.y.w](int64_t i, int64_t x, V s) { out[i * w + x] = s; });
      for (int64_t i = 0; i < count; ++i, ++y) to.write(y, out + i * p_.y.w);
    }
  }

 private:
  V* slot(int64_t m) const { return narrow_->get() + (m & (ring_ - 1)) * p_.y.w; }

  // Row m of the up-sampled map, activated and down-sampled across.
  void narrow(int64_t m) {
    V* mid = mid_.get() + slack_;
    const A gain = p_.gain, slope = p_.slope, clamp = p_.clamp;
    if (p_.at) {
      at_->row(m, [=](int64_t i, V v) { mid[i] = slopes(v, gain, slope, clamp); });
      signal_.row(m, [=](int64_t i, V v) { mid[i] *= v; });
    } else {
      signal_.row(m, [=](int64_t i, V v) { mid[i] = activated(v, gain, slope, clamp); });
    }
    across<Use::down>(down_x_, mid - begin_, p_.step_x, 0, p_.y.w, [out = slot(m)](int64_t o, V s) { out[o] = s; });
  }

  static GLAD_INLINE V activated(V v, A gain, A slope, A clamp) {
    v = (v > 0 ? v : v * slope) * gain;
    if (clamp < 0) return v;
    v = v > clamp ? V{} + clamp : v;  // NaN stays
    return v < -clamp ? V{} - clamp : v;
  }

  // The derivative of `activated`.
  static GLAD_INLINE V slopes(V v, A gain, A slope, A clamp) {
    const V s = v > 0 ? V{} + gain : V{} + gain * slope;
    const V y = v * s;
    return clamp < 0 ? s : ((y > clamp) | (y < -clamp)) ? V{} : s;
  }

  const FilteredLrelu& p_;
  Fir<A> down_x_, down_y_;
  Along<A, Use::down> along_;
  int64_t begin_, count_, slack_, ring_ = 1;
  UpSampled<A> signal_;
  std::optional<UpSampled<A>> at_;
  Scratch<V> mid_, out_;
  std::optional<Scratch<V>> narrow_;
};

}  // namespace glad::GLAD_ISA
