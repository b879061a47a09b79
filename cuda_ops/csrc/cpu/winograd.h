// 3x3 convolutions with a quarter of the multiplications: F(4x4, 3x3) of Winograd (1980; Lavin & Gray, CVPR 2016).
//
// A tile of 4 x 4 outputs needs a window of 6 x 6 inputs. Window and kernel are evaluated as polynomials at six points
// along each axis, and multiplied there: 36 products of matrices [tiles, c] and [c, k]. The gradient in the kernels is
// the transposed algorithm. Lanes are channels; planes are transposed as they are read and written.
#pragma once

#include <algorithm>

#include "channel_vectors.h"
#include "kernels.h"
#include "winograd_transform.h"
#include "workspace.h"

namespace glad::GLAD_ISA {

class WinogradTask {
  using V = Vec<float>;
  using T = WinogradTransform;
  using Part = Winograd::Part;
  static constexpr int L = kLanes<float>;
  static constexpr int64_t kPad = Winograd::kLanes, kPoints = Winograd::kPoints, kDepth = 32;

 public:
  explicit WinogradTask(const Winograd& p) : p_(p), across_(p.across()), down_(p.down()), vectors_(widest(p.k)) {}

  void run(int64_t i) const {
    switch (p_.part) {
      case Part::kernels: return kernels(i);
      case Part::convolve: return convolve(i * p_.rows, std::min((i + 1) * p_.rows, p_.n * down_));
      case Part::spread: return spread(i);
      case Part::accumulate: return accumulate(i);
      case Part::gradient: return gradient(i);
    }
  }

 private:
  // The kernels of outputs [16 i, 16 i + 16) at the points: points [k / panel][36][c + 1][panel], the last row for
  // other addresses: those a power of two apart share a place in the cache.
  void kernels(int64_t i) const {
    const int64_t width = vectors_ * L, step = (p_.c + 1) * width;
    for (int64_t k = i * kPad; k < (i + 1) * kPad; k += L)
      for (int64_t c = 0; c < p_.c; ++c) {
        V taps[9];
        read_taps(k, c, taps);
        float* to = p_.points + k / width * kPoints * step + c * width + k % width;
        for (int point = 0; point < kPoints; ++point) __builtin_prefetch(to + point * step + 4 * width, 1);
        T::both<3, 6>([](const V(&g)[3], V(&u)[6]) { T::kernel(g, u); },
                      [&](int y, int x) { return taps[p_.turned ? 8 - 3 * y - x : 3 * y + x]; },
                      [&](int y, int x, V v) { store(to + (6 * y + x) * step, v); });
      }
  }

  // Rows of tiles [first, end) of the result.
  void convolve(int64_t first, int64_t end) const {
    static thread_local Workspace workspace;
    const int64_t count = (end - first) * across_, width = vectors_ * L, channels = Winograd::padded(p_.c);
    const int64_t v_step = count * channels + kPad, m_step = count * width + kPad;
    float *v = workspace.get(kPoints * (v_step + m_step) + plane_size(end - first)), *m = v + kPoints * v_step;
    V* plane = reinterpret_cast<V*>(m + kPoints * m_step);
    for (int64_t c = 0; c < channels; c += L) windows(c, first, end, plane, v + c, channels, v_step);
    for (int64_t k = 0; k < p_.k; k += width) {
      const float* u = p_.points + k / width * kPoints * (p_.c + 1) * width;
      for (int64_t i = 0; i < kPoints; ++i)
        for (int64_t d = 0; d < p_.c; d += kDepth)  // short sums, for their rounding
          product({v + i * v_step + d, u + (i * (p_.c + 1) + d) * width, m + i * m_step, channels, 1, width, width,
                   std::min(kDepth, p_.c - d), d > 0},
                  count);
      for (int64_t j = 0; j < width && k + j < p_.k; j += L) back(k + j, first, end, m + j, width, m_step, plane);
    }
  }

  // 16 channels of the rows [p.first, p.end) of x, and behind them of g: to v and w [36][tiles, padded channels].
  void spread(int64_t i) const {
    static thread_local Workspace workspace;
    V* plane = reinterpret_cast<V*>(workspace.get(plane_size(p_.end - p_.first)));
    const int64_t of_x = Winograd::padded(p_.c), of_g = Winograd::padded(p_.k), count = (p_.end - p_.first) * across_;
    for (int64_t c = i * kPad; c < (i + 1) * kPad; c += L)
      if (c < of_x)
        windows(c, p_.first, p_.end, plane, p_.v + c, of_x, count * of_x + kPad);
      else
        tiles(c - of_x, p_.first, p_.end, plane, p_.w + c - of_x, of_g, count * of_g + kPad);
  }

  // A point of the sum over tiles of the products of both: points [36][c + 1, padded k].
  void accumulate(int64_t i) const {
    const int64_t of_x = Winograd::padded(p_.c), of_g = Winograd::padded(p_.k), count = (p_.end - p_.first) * across_;
    const float *v = p_.v + i * (count * of_x + kPad), *w = p_.w + i * (count * of_g + kPad);
    float* to = p_.points + i * (p_.c + 1) * of_g;
    for (int64_t k = 0; k < p_.k; k += vectors_ * L)
      product({v, w + k, to + k, 1, of_x, of_g, of_g, count, p_.first > 0}, p_.c);
  }

  // The gradient in the kernels of outputs [16 i, 16 i + 16) of what was accumulated.
  void gradient(int64_t i) const {
    const int64_t of_g = Winograd::padded(p_.k), step = (p_.c + 1) * of_g;
    for (int64_t k = i * kPad; k < std::min(p_.k, (i + 1) * kPad); k += L)
      for (int64_t c = 0; c < p_.c; ++c) {
        const float* from = p_.points + c * of_g + k;
        for (int point = 0; point < kPoints; ++point) __builtin_prefetch(from + point * step + 4 * of_g);
        V taps[(9 + L - 1) / L][L] = {};
        T::both<6, 3>([](const V(&u)[6], V(&g)[3]) { T::kernel_transposed(u, g); },
                      [&](int y, int x) { return load<V>(from + (6 * y + x) * step); },
                      [&](int y, int x, V v) { taps[(3 * y + x) / L][(3 * y + x) % L] = v; });
        for (int t = 0; t < 9; t += L) {
          transpose<float>(taps[t / L]);
          for (int64_t l = 0; l < std::min<int64_t>(L, p_.k - k); ++l)
            std::copy_n(reinterpret_cast<const float*>(&taps[t / L][l]), std::min(L, 9 - t), p_.y + ((k + l) * p_.c + c) * 9 + t);
        }
      }
  }

  static int widest(int64_t k) {
    const int64_t vectors = Winograd::padded(k) / L;
    for (int most = WinogradProduct::kMost; most > 1; most /= 2)
      if (vectors % most == 0) return most;
    return 1;
  }
  int64_t plane_size(int64_t rows) const { return (4 * rows + 2) * (4 * across_ + 2) * L; }
  void product(const WinogradProduct& q, int64_t rows) const {
    if constexpr (WinogradProduct::kMost == 4)
      if (vectors_ == 4) return q.run<4>(rows);
    vectors_ == 2 ? q.run<2>(rows) : q.run<1>(rows);
  }

  // The taps of input c and outputs [k, k + L); of a turned convolution the weight is [c, k, 3, 3].
  void read_taps(int64_t k, int64_t c, V (&taps)[9]) const {
    const int64_t step = p_.turned ? 9 : 9 * p_.c, total = 9 * p_.c * p_.k;
    const int64_t first = p_.turned ? (c * p_.k + k) * 9 : (k * p_.c + c) * 9;
    for (int t = 0; t < 9; t += L) {
      V r[L];
      for (int l = 0; l < L; ++l) {
        const int64_t at = first + l * step + t;
        if (k + l >= p_.k) {
          r[l] = V{};
        } else if (at + L <= total) {
          r[l] = load<V>(p_.weight + at);
        } else {
          float part[L] = {};
          std::copy_n(p_.weight + at, total - at, part);
          r[l] = load<V>(part);
        }
      }
      transpose<float>(r);
      for (int i = 0; i < std::min(L, 9 - t); ++i) taps[t + i] = r[i];
    }
  }

  // f(image, its first row of tiles, the one behind its last, number of its first tile) of the rows [first, end).
  template <class F>
  void each_image(int64_t first, int64_t end, F f) const {
    for (int64_t row = first; row < end;) {
      const int64_t image = row / down_, top = row % down_, bottom = std::min(down_, top + end - row);
      f(image, top, bottom, (row - first) * across_);
      row += bottom - top;
    }
  }

  // Channels [c, c + L) of the windows at the points, to v [36][tile, row].
  void windows(int64_t c, int64_t first, int64_t end, V* plane, float* v, int64_t row, int64_t step) const {
    const int64_t pitch = 4 * across_ + 2, size = p_.height * p_.width;
    const ChannelVectors vectors(p_.c - c, size, p_.width);
    each_image(first, end, [&](int64_t image, int64_t top, int64_t bottom, int64_t tile) {
      const int64_t y = std::max<int64_t>(4 * top - 1, 0), y_end = std::min(4 * bottom + 1, p_.height);
      V* at = plane + (y - (4 * top - 1)) * pitch;
      frame(plane, at, at + (y_end - y) * pitch, plane + (4 * (bottom - top) + 2) * pitch, pitch, 1);
      vectors.read(p_.x + (image * p_.c + c) * size, y, y_end, at + 1, pitch);
      for (int64_t i = 0; i < bottom - top; ++i)
        for (int64_t j = 0; j < across_; ++j, ++tile) {
          const V* from = plane + 4 * i * pitch + 4 * j;
          float* to = v + tile * row;
          T::both<6, 6>([](const V(&d)[6], V(&t)[6]) { T::window(d, t); },
                        [&](int a, int b) { return from[a * pitch + b]; },
                        [&](int a, int b, V value) { store(to + (6 * a + b) * step, value); });
        }
    });
  }

  // The same of tiles of g.
  void tiles(int64_t k, int64_t first, int64_t end, V* plane, float* w, int64_t row, int64_t step) const {
    const int64_t pitch = 4 * across_, size = p_.height * p_.width;
    const ChannelVectors vectors(p_.k - k, size, p_.width);
    each_image(first, end, [&](int64_t image, int64_t top, int64_t bottom, int64_t tile) {
      const int64_t y_end = std::min(4 * bottom, p_.height);
      frame(plane, plane, plane + (y_end - 4 * top) * pitch, plane + 4 * (bottom - top) * pitch, pitch, 0);
      vectors.read(p_.g + (image * p_.k + k) * size, 4 * top, y_end, plane, pitch);
      for (int64_t i = 0; i < bottom - top; ++i)
        for (int64_t j = 0; j < across_; ++j, ++tile) {
          const V* from = plane + 4 * i * pitch + 4 * j;
          float* to = w + tile * row;
          T::both<4, 6>([](const V(&y)[4], V(&t)[6]) { T::tile_transposed(y, t); },
                        [&](int a, int b) { return from[a * pitch + b]; },
                        [&](int a, int b, V value) { store(to + (6 * a + b) * step, value); });
        }
    });
  }

  // Zeros around the rows [from, to) of the scratch [begin, end): above, below, `left` columns, and behind the image.
  void frame(V* begin, V* from, V* to, V* end, int64_t pitch, int64_t left) const {
    std::fill(begin, from, V{}), std::fill(to, end, V{});
    for (; from < to; from += pitch) std::fill(from, from + left, V{}), std::fill(from + left + p_.width, from + pitch, V{});
  }

  // Outputs [k, k + L) from the products m [36][tile, row].
  void back(int64_t k, int64_t first, int64_t end, const float* m, int64_t row, int64_t step, V* plane) const {
    const int64_t pitch = 4 * across_, size = p_.height * p_.width;
    const ChannelVectors vectors(p_.k - k, size, p_.width);
    V bias{};
    if (p_.bias)
      for (int64_t l = 0; l < std::min<int64_t>(L, p_.k - k); ++l) bias[l] = p_.bias[k + l];
    each_image(first, end, [&](int64_t image, int64_t top, int64_t bottom, int64_t tile) {
      for (int64_t i = 0; i < bottom - top; ++i)
        for (int64_t j = 0; j < across_; ++j, ++tile) {
          const float* from = m + tile * row;
          V* to = plane + 4 * i * pitch + 4 * j;
          T::both<6, 4>([](const V(&t)[6], V(&y)[4]) { T::tile(t, y); },
                        [&](int a, int b) { return load<V>(from + (6 * a + b) * step); },
                        [&](int a, int b, V value) { to[a * pitch + b] = value; });
        }
      vectors.write(plane, pitch, p_.y + (image * p_.k + k) * size, 4 * top, std::min(4 * bottom, p_.height), bias);
    });
  }

  const Winograd p_;
  int64_t across_, down_;
  int vectors_;
};

}  // namespace glad::GLAD_ISA
