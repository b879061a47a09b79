// The kernels of one instruction set; compiled once for each, into a namespace of its own.
#include "bias_act.h"
#include "filtered_lrelu.h"
#include "narrow_conv.h"
#include "norm_pool.h"
#include "upfirdn2d.h"
#include "winograd.h"

#define GLAD_TEXT_(x) #x
#define GLAD_TEXT(x) GLAD_TEXT_(x)

namespace glad::GLAD_ISA {
namespace {

int64_t blocks(const Image& x) {
  return x.type == Type::f64 ? count_blocks<double>(x) : count_blocks<float>(x);
}

template <template <class> class Task, class P>
void run(const P& p, int64_t begin, int64_t end) {
  const auto tasks = [&](auto task) {
    for (int64_t i = begin; i < end; ++i) task.run(i);
  };
  p.x.type == Type::f64 ? tasks(Task<double>(p)) : tasks(Task<float>(p));
}

template <class F>
void with_type(Type type, F f) {
  switch (type) {
    case Type::f32: return f(float{});
    case Type::f64: return f(double{});
    case Type::f16: return f(Half{});
    case Type::bf16: return f(BFloat16{});
  }
}

void bias_act(const BiasAct& p, int64_t begin, int64_t end) {
  with_type(p.type, [&](auto element) { BiasActTask<decltype(element)>(p).run(begin, end); });
}

void norm_pool(const NormPool& p, int64_t begin, int64_t end) {
  const auto planes = [&](auto task) {
    for (int64_t i = begin; i < end; ++i) task.run(i);
  };
  p.type == Type::f64 ? planes(NormPoolTask<double>(p)) : planes(NormPoolTask<float>(p));
}

void winograd(const Winograd& p, int64_t begin, int64_t end) {
  const WinogradTask task(p);
  for (int64_t i = begin; i < end; ++i) task.run(i);
}

void narrow_conv(const NarrowConv& p, int64_t begin, int64_t end) {
  const NarrowConvTask task(p);
  for (int64_t i = begin; i < end; ++i) task.run(i);
}

}  // namespace

extern const Kernels kernels;
const Kernels kernels{GLAD_TEXT(GLAD_ISA), blocks, run<Upfirdn2dTask>, run<FilteredLreluTask>, bias_act,
                      norm_pool, winograd, narrow_conv};

}  // namespace glad::GLAD_ISA
