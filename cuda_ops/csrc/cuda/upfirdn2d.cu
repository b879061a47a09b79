// upfirdn2d on CUDA tensors: checks, layouts, and the launch on the current stream.
#include "upfirdn2d.cuh"

#include "tensors.cuh"

namespace glad {
namespace {

constexpr std::int64_t max_factor = 4096, max_padding = 1 << 30, max_blocks = 1 << 30;

Upfirdn2dAxis axis(std::int64_t in, std::int64_t up, std::int64_t down, std::int64_t before, std::int64_t after,
                   std::int64_t taps) {
  STD_TORCH_CHECK(up >= 1 && down >= 1 && larger(up, down) <= max_factor, "up ", up, " and down ", down,
                  " must lie in 1 ... ", max_factor);
  STD_TORCH_CHECK(larger(before, -before) <= max_padding, "padding ", before, " exceeds ", max_padding);
  const std::int64_t padded = in * up + before + after;
  STD_TORCH_CHECK(in >= 1 && padded >= taps, "padded image of ", padded, " samples is smaller than the filter of ",
                  taps);
  return {in, (padded - taps) / down + 1, static_cast<int>(up), static_cast<int>(down), static_cast<int>(taps),
          static_cast<int>(before)};
}

void check_filter(const std::optional<Tensor>& f, const Tensor& x, double gain) {
  if (!f) return;
  STD_TORCH_CHECK((f->dim() == 1 || f->dim() == 2) && f->numel() > 0, "f must be [taps] or [fh, fw], not of ", f->dim(),
                  " dimensions and ", f->numel(), " taps");
  STD_TORCH_CHECK(f->numel() <= max_padding, "f has ", f->numel(), " taps, more than ", max_padding);
  STD_TORCH_CHECK(f->scalar_type() == ScalarType::Float || f->scalar_type() == ScalarType::Double,
                  "f is float32 or float64, not ", f->scalar_type());
  STD_TORCH_CHECK(f->is_contiguous(), "f must be contiguous");
  STD_TORCH_CHECK(f->dim() == 2 || gain >= 0, "a separable filter takes the root of its gain, which is ", gain);
  check_device(*f, x, "f");
}

Tensor upfirdn2d(const Tensor& x0, const std::optional<Tensor>& f, const Ints& up, const Ints& down,
                 const Ints& padding, bool flip, double gain) {
  STD_TORCH_CHECK(x0.dim() == 4, "x must be [N, C, H, W], not of ", x0.dim(), " dimensions");
  STD_TORCH_CHECK(up.size() == 2 && down.size() == 2 && padding.size() == 4, "up, down and padding have 2, 2 and 4 ",
                  "values, not ", up.size(), ", ", down.size(), " and ", padding.size());
  check_filter(f, x0, gain);
  const DeviceGuard guard(x0.get_device_index());
  Upfirdn2dParams p{};
  p.batch = x0.size(0), p.channels = x0.size(1);
  p.across = axis(x0.size(3), up[0], down[0], padding[0], padding[1], f ? f->size(f->dim() - 1) : 1);
  p.along = axis(x0.size(2), up[1], down[1], padding[2], padding[3], f ? f->size(0) : 1);
  p.f = data_or_null(f), p.f_is_double = f && f->scalar_type() == ScalarType::Double;
  p.separable = f && f->dim() == 1, p.flip = flip, p.gain = gain, p.max_blocks = max_blocks;

  // Tiles take contiguous planes; what else there is costs less as a copy than as the generic kernel.
  const bool channels_last = dense_channels_last(x0), tiled = upfirdn2d_tiled(p, dtype_of(x0));
  const Tensor x = tiled ? torch::stable::contiguous(x0) : x0;
  p.channels_last = channels_last && !tiled;
  const Tensor y = empty_as(x, {p.batch, p.channels, p.along.out, p.across.out}, p.channels_last);
  p.x = x.const_data_ptr(), p.y = y.mutable_data_ptr();
  for (int dim = 0; dim < 4; ++dim) p.stride[dim] = x.stride(dim);
  upfirdn2d_launch(p, dtype_of(x), current_stream(x));
  return channels_last && tiled ? torch::stable::contiguous(y, MemoryFormat::ChannelsLast) : y;
}

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(glad, GLAD_DISPATCH_KEY, m) { m.impl("upfirdn2d", TORCH_BOX(&upfirdn2d)); }

}  // namespace glad
