// The last weights at Winograd's points: microbatches of a step share them, and so do its gradients in the input.
#pragma once

#include <algorithm>
#include <cstring>
#include <list>
#include <vector>

#include "kernels.h"
#include "workspace.h"

namespace glad {

class KeptPoints {
 public:
  // p.points = its weight at the points. They are `made` by a call where no weight of the same bits is kept: an address
  // says nothing of what lies there, and comparing takes a tenth of transforming.
  template <class Make>
  void get(Winograd& p, Make made) {
    const size_t count = static_cast<size_t>(9 * p.c * p.k);
    for (auto it = kept_.begin(); it != kept_.end(); ++it)
      if (it->c == p.c && it->k == p.k && it->turned == p.turned &&
          !std::memcmp(it->weight.data(), p.weight, count * sizeof(float))) {
        kept_.splice(kept_.begin(), kept_, it);
        p.points = it->points.get(0);
        return;
      }
    const int64_t size = p.size_of_points() + static_cast<int64_t>(count);
    while (!kept_.empty() && floats_ + size > kMost) floats_ -= kept_.back().size, kept_.pop_back();
    Entry& entry = kept_.emplace_front(Entry{p.c, p.k, p.turned, size, {p.weight, p.weight + count}, {}});
    floats_ += size;
    p.points = entry.points.get(p.size_of_points());
    made();
  }

 private:
  static constexpr int64_t kMost = 8 << 20;  // floats: eleven weights of 128 by 128 channels
  struct Entry {
    int64_t c, k;
    bool turned;
    int64_t size;
    std::vector<float> weight;
    Workspace points;
  };
  std::list<Entry> kept_;
  int64_t floats_ = 0;
};

}  // namespace glad
