// Memory for numbers on their way, kept from call to call: fresh pages would take as long as filling them.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace glad {

class Workspace {
 public:
  // At least `count` floats, aligned for vectors, of any content.
  float* get(int64_t count) {
    if (count > count_) data_.reset(static_cast<float*>(::operator new(count * sizeof(float), kAlign))), count_ = count;
    return data_.get();
  }

 private:
  static constexpr std::align_val_t kAlign{64};
  struct Free {
    void operator()(float* p) const { ::operator delete(p, kAlign); }
  };
  std::unique_ptr<float, Free> data_;
  int64_t count_ = 0;
};

}  // namespace glad
