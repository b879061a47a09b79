// What the registrations of all operators need of a tensor: its type and layout, checks, and the current stream.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>

#include "launch.cuh"

namespace glad {

using torch::headeronly::MemoryFormat;
using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using Ints = std::vector<std::int64_t>;

// The emulator takes CPU tensors through the same registrations.
#ifdef __CUDACC__
#define GLAD_DISPATCH_KEY CUDA
using torch::stable::accelerator::DeviceGuard;

inline bool on_device(const Tensor& t) { return t.is_cuda(); }

inline cudaStream_t current_stream(const Tensor& x) {
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(x.get_device_index(), &stream));
  return static_cast<cudaStream_t>(stream);
}
#else
#define GLAD_DISPATCH_KEY CPU
struct DeviceGuard {
  explicit DeviceGuard(int) {}
};

inline bool on_device(const Tensor& t) { return t.is_cpu(); }

inline cudaStream_t current_stream(const Tensor&) { return nullptr; }
#endif

inline Dtype dtype_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Float: return Dtype::float32;
    case ScalarType::Double: return Dtype::float64;
    case ScalarType::Half: return Dtype::float16;
    case ScalarType::BFloat16: return Dtype::bfloat16;
    default: STD_TORCH_CHECK(false, "expected float32, float64, float16 or bfloat16, not ", x.scalar_type());
  }
}

inline bool dense_channels_last(const Tensor& x) {
  const std::int64_t c = x.size(1), h = x.size(2), w = x.size(3);
  return c > 1 && h * w > 1 && x.stride(1) == 1 && (w == 1 || x.stride(3) == c) && (h == 1 || x.stride(2) == w * c) &&
         (x.size(0) == 1 || x.stride(0) == h * w * c);
}

inline void check_device(const Tensor& t, const Tensor& x, const char* name) {
  STD_TORCH_CHECK(on_device(t) && t.get_device_index() == x.get_device_index(), name, " is on device ",
                  t.get_device_index(), ", x is on CUDA device ", x.get_device_index());
}

inline void check_bias(const std::optional<Tensor>& b, const Tensor& x, std::int64_t dim) {
  if (!b) return;
  STD_TORCH_CHECK(dim >= 0 && dim < x.dim(), "dim ", dim, " is outside a tensor of ", x.dim(), " dimensions");
  STD_TORCH_CHECK(b->dim() == 1 && b->size(0) == x.size(dim), "b has ", b->numel(), " entries, x has ", x.size(dim),
                  " along dim ", dim);
  STD_TORCH_CHECK(b->scalar_type() == x.scalar_type(), "b is ", b->scalar_type(), ", x is ", x.scalar_type());
  STD_TORCH_CHECK(b->is_contiguous(), "b must be contiguous, not of stride ", b->stride(0));
  check_device(*b, x, "b");
}

inline Tensor empty_as(const Tensor& x, const Ints& size, bool channels_last) {
  const auto format = channels_last ? MemoryFormat::ChannelsLast : MemoryFormat::Contiguous;
  return torch::stable::empty(size, x.scalar_type(), std::nullopt, x.device(), std::nullopt, format);
}

inline const void* data_or_null(const std::optional<Tensor>& t) { return t ? t->const_data_ptr() : nullptr; }

}  // namespace glad
