// upfirdn2d: down the rows first, where no sample is touched that the output does not need, then across.
#pragma once

#include "fir.h"
#include "planes.h"

namespace glad::GLAD_ISA {

// Zeros that a filter reads beyond a row of `size` samples for outputs [begin, end].
template <class A>
int64_t margin(const Fir<A>& f, int64_t size, int64_t begin, int64_t end) {
  return std::max<int64_t>({0, -f.first(begin), f.first(end) + f.longest() - size});
}

template <class A>
class Upfirdn2dTask {
  using V = Vec<A>;

 public:
  explicit Upfirdn2dTask(const Upfirdn2d& p)
      : p_(p),
        fx_(p.fx),
        fy_(p.fy),
        along_(fy_, p.down_y),
        margin_(margin(fx_, p.x.w, 0, p.down_x * (p.y.w - 1))),
        slack_(fx_.up()),
        width_(p.x.w + 2 * margin_),
        rows_(p.x, along_.depth(), margin_),
        columns_(along_.batch() * width_),
        out_(p.y.w + 2 * slack_) {
    const int64_t fw = static_cast<int64_t>(p.fx.taps.size());
    for (int64_t j = 0; j < static_cast<int64_t>(p.plane.size()); j += fw)
      lines_.emplace_back(Filter{p.fx.up, p.fx.pad, {p.plane.begin() + j, p.plane.begin() + j + fw}});
  }

  void run(int64_t task) {
    const int64_t block = task / p_.tiles, tile = task % p_.tiles;
    const Block<A> from(p_.x, block), to(p_.y, block);
    rows_.start(from, V{});
    const int64_t begin = p_.y.h * tile / p_.tiles, end = p_.y.h * (tile + 1) / p_.tiles;
    p_.plane.empty() ? separable(to, begin, end) : plane(to, begin, end);
  }

 private:
  void separable(const Block<A>& to, int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end;) {
      const int64_t m = along_.begin(p_.down_y * y), count = along_.count(end - y);
      V* columns = columns_.get() + margin_;
      along_(m, count, p_.x.w, [&](int64_t i) { return rows_.row(i); },
             [=, w = width_](int64_t i, int64_t x, V s) { columns[i * w + x] = s; });
      for (int64_t i = (p_.down_y * y - m) / p_.down_y; i < count && y < end; ++i, ++y) {
        V* out = out_.get() + slack_;
        across<Use::both>(fx_, columns + i * width_, p_.down_x, 0, p_.y.w, [=](int64_t o, V s) { out[o] = s; });
        to.write(y, out);
      }
    }
  }

  void plane(const Block<A>& to, int64_t begin, int64_t end) {
    V* out = out_.get() + slack_;
    for (int64_t y = begin; y < end; ++y) {
      std::fill_n(out, p_.y.w, V{});
      const int64_t m = p_.down_y * y, first = fy_.first(m), phase = first * fy_.up() - (m - p_.fy.pad);
      for (size_t k = 0; k < fy_.taps(m).size(); ++k)
        across<Use::none>(lines_[phase + k * fy_.up()], rows_.row(first + k), p_.down_x, 0, p_.y.w,
               [=](int64_t o, V s) { out[o] += s; });
      to.write(y, out);
    }
  }

  const Upfirdn2d& p_;
  Fir<A> fx_, fy_;
  std::vector<Fir<A>> lines_;  // of a filter that is not separable
  Along<A, Use::both> along_;
  int64_t margin_, slack_, width_;
  Rows<A> rows_;
  Scratch<V> columns_, out_;
};

}  // namespace glad::GLAD_ISA
