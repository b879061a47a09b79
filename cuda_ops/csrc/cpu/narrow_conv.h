// 3x3 convolutions of few input channels, as of a network's first layer, without transforms: lanes are pixels of a row.
#pragma once

#include <algorithm>

#include "kernels.h"
#include "vector.h"
#include "workspace.h"

namespace glad::GLAD_ISA {

class NarrowConvTask {
  using V = Vec<float>;
  static constexpr int L = kLanes<float>;

 public:
  explicit NarrowConvTask(const NarrowConv& p)
      : p_(p), pitch_((p.width + L - 1) / L * L + 2), image_(p.c * (p.height + 2) * pitch_) {}

  // All of an image.
  void run(int64_t image) const {
    static thread_local Workspace workspace;
    float* padded = workspace.get(image_);
    pad(image, padded);
    int64_t k = 0;
    for (; k + kOutputs <= p_.k; k += kOutputs) rows<kOutputs>(padded, image, k);
    for (; k < p_.k; ++k) rows<1>(padded, image, k);
  }

 private:
  static constexpr int kBoth = 2, kOutputs = L == 16 ? 8 : 4;  // vectors of a row, and output channels, in registers

  // An image with a border of zeros, [c, height + 2, pitch].
  void pad(int64_t image, float* to) const {
    std::fill(to, to + image_, 0.0f);
    const float* x = p_.x + image * p_.c * p_.height * p_.width;
    for (int64_t c = 0; c < p_.c; ++c, to += 2 * pitch_)
      for (int64_t y = 0; y < p_.height; ++y, x += p_.width, to += pitch_) std::copy_n(x, p_.width, to + pitch_ + 1);
  }

  template <int R>
  void rows(const float* padded, int64_t image, int64_t k) const {
    for (int64_t y = 0; y < p_.height; ++y)
      for (int64_t x = 0; x < p_.width; x += kBoth * L)
        p_.width - x > L ? block<R, kBoth>(padded, image, k, y, x) : block<R, 1>(padded, image, k, y, x);
  }

  template <int R, int NV>
  void block(const float* padded, int64_t image, int64_t k, int64_t y, int64_t x) const {
    V sum[R][NV];
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i)
      for (int j = 0; j < NV; ++j) sum[i][j] = V{} + (p_.bias ? p_.bias[k + i] : 0.0f);
    const float* weight = p_.weight + k * p_.c * 9;
    for (int64_t c = 0; c < p_.c; ++c)
      for (int dy = 0; dy < 3; ++dy) {
        const float* from = padded + (c * (p_.height + 2) + y + dy) * pitch_ + x;
#pragma GCC unroll 3
        for (int dx = 0; dx < 3; ++dx, ++weight) {
          V in[NV];
#pragma GCC unroll 2
          for (int j = 0; j < NV; ++j) in[j] = load<V>(from + dx + j * L);
#pragma GCC unroll 8
          for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
            for (int j = 0; j < NV; ++j) sum[i][j] += weight[i * p_.c * 9] * in[j];
        }
      }
    float* to = p_.y + ((image * p_.k + k) * p_.height + y) * p_.width + x;
#pragma GCC unroll 8
    for (int i = 0; i < R; ++i, to += p_.height * p_.width)
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) write(to + j * L, sum[i][j], p_.width - x - j * L);
  }

  static void write(float* to, V v, int64_t count) {
    if (count >= L) return store(to, v);
    float part[L];
    store(part, v);
    std::copy_n(part, count, to);
  }

  const NarrowConv p_;
  int64_t pitch_, image_;  // floats of a padded row and of a padded image
};

}  // namespace glad::GLAD_ISA
