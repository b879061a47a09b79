// Random calls of the CPU kernels, for programs built under sanitizers.
//
// Each call runs twice, as one task after the other and divided among threads, and must give the same bits. Every buffer
// has exactly the bytes that a kernel may touch, so that an access beside it is one outside of allocated memory.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "kernels.h"

int glad_planted = 0;  // which of the bugs runs that were planted into the kernels' sources; none of them: 0

namespace {

using namespace glad;

std::mt19937_64 engine;
int64_t draw(int64_t low, int64_t high) { return low + static_cast<int64_t>(engine() % static_cast<uint64_t>(high - low + 1)); }
template <class T>
T pick(std::initializer_list<T> from) { return from.begin()[draw(0, static_cast<int64_t>(from.size()) - 1)]; }
double number() { return static_cast<double>(draw(-1000, 1000)) / 500; }

int64_t size_of(Type type) { return type == Type::f64 ? 8 : type == Type::f32 ? 4 : 2; }

struct Buffer {
  std::unique_ptr<char[]> data;
  int64_t bytes;
  Type type;

  // Numbers between -2 and 2.
  static Buffer random(Type type, int64_t count) {
    Buffer b{std::make_unique<char[]>(count * size_of(type)), count * size_of(type), type};
    for (int64_t i = 0; i < count; ++i) {
      const double x = number();
      const float single = static_cast<float>(x);
      const uint16_t half = static_cast<uint16_t>((draw(0, 1) << 15) | 0x3800 | draw(0, 0x3ff));  // of float16
      const uint16_t brain = static_cast<uint16_t>((draw(0, 1) << 15) | 0x3f00 | draw(0, 0x7f));  // of bfloat16
      const void* from = type == Type::f64   ? static_cast<const void*>(&x)
                         : type == Type::f32 ? static_cast<const void*>(&single)
                         : type == Type::f16 ? static_cast<const void*>(&half)
                                             : static_cast<const void*>(&brain);
      std::memcpy(b.data.get() + i * size_of(type), from, size_of(type));
    }
    return b;
  }
  // NaN, as that is what bytes of ones are in each type.
  static Buffer unwritten(Type type, int64_t count) {
    Buffer b{std::make_unique<char[]>(count * size_of(type)), count * size_of(type), type};
    b.clear();
    return b;
  }
  void clear() { std::memset(data.get(), 0xff, bytes); }
  bool written() const {
    const char none[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    for (int64_t i = 0; i < bytes; i += size_of(type))
      if (!std::memcmp(data.get() + i, none, size_of(type))) return false;
    return true;
  }
};

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

// Runs tasks [0, total) in order, and among threads at borders that are multiples of `grain`; compares the outputs.
void twice(int64_t total, int64_t grain, std::vector<Buffer*> outputs, const std::function<void(int64_t, int64_t)>& run) {
  run(0, total);
  std::vector<std::vector<char>> first;
  for (Buffer* y : outputs) {
    require(y->written(), "an element was never written");
    first.emplace_back(y->data.get(), y->data.get() + y->bytes);
    y->clear();
  }
  const int64_t parts = std::min<int64_t>(3, (total + grain - 1) / grain);
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < parts; ++i) {
    const auto border = [&](int64_t part) { return std::min(total, (total + grain - 1) / grain * part / parts * grain); };
    threads.emplace_back(run, border(i), border(i + 1));
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < outputs.size(); ++i)
    require(!std::memcmp(first[i].data(), outputs[i]->data.get(), first[i].size()), "threads give other bits");
}

struct Picture {
  Image image;
  Buffer buffer;

  // Dense, or with rows, planes and samples apart; the buffer ends with the last element.
  Picture(Type type, int64_t n, int64_t c, int64_t h, int64_t w, bool channels_last, bool output)
      : image{nullptr, type, n, c, h, w}, buffer{nullptr, 0, type} {
    const int64_t apart = !output && !channels_last ? draw(0, 1) * 3 : 0;
    Image& x = image;
    x.channels_last = channels_last;
    x.sw = channels_last ? c : 1, x.sc = channels_last ? 1 : h * (w + apart) + apart;
    x.sh = channels_last ? c * w : w + apart, x.sn = channels_last ? c * w * h : c * x.sc + apart;
    const int64_t count = 1 + (n - 1) * x.sn + (c - 1) * x.sc + (h - 1) * x.sh + (w - 1) * x.sw;
    buffer = output ? Buffer::unwritten(type, count) : Buffer::random(type, count);
    x.data = buffer.data.get();
  }
};

struct Shape {
  Type type = pick({Type::f32, Type::f32, Type::f64, Type::f16, Type::bf16});
  int64_t n = draw(1, 2), c = pick<int64_t>({1, 3, 7, 16, 19, 35}), h = pick<int64_t>({1, 2, 5, 8, 15, 17, 23, 34});
  int64_t w = pick<int64_t>({1, 2, 5, 8, 15, 16, 17, 23, 34});
  bool channels_last = c > 1 && h * w > 1 && draw(0, 2) == 0;
};

std::vector<double> taps(int64_t count) {
  std::vector<double> t(count);
  for (double& tap : t) tap = number() / 4;
  return t;
}

// Padding before and after an axis of `size` samples, that leaves at least `least`.
std::pair<int64_t, int64_t> padding(int64_t size, int64_t least) {
  const int64_t before = draw(-3, 9);
  return {before, std::max(draw(-3, 9), least - size - before)};
}

void upfirdn2d() {
  const Shape s;
  struct Factors { int64_t up, down, taps; };
  const auto [up, down, count] = pick<Factors>({{2, 1, 12}, {4, 1, 24}, {1, 2, 12}, {1, 4, 24}, {1, 1, 12}, {2, 1, 6},
                                                {3, 2, 12}, {2, 2, 8}, {2, 1, 11}, {1, 1, 1}});
  const auto [x0, x1] = padding(s.w * up, count);
  const auto [y0, y1] = padding(s.h * up, count);
  Picture x(s.type, s.n, s.c, s.h, s.w, s.channels_last, false);
  const int64_t h = (s.h * up + y0 + y1 - count) / down + 1, w = (s.w * up + x0 + x1 - count) / down + 1;
  Picture y(s.type, s.n, s.c, h, w, s.channels_last, true);
  Upfirdn2d p{x.image, y.image, {up, x0, taps(count)}, {up, y0, taps(count)}, down, down, {}, 1};
  if (draw(0, 3) == 0) {
    p.plane = taps(count * count);
    p.fx.taps.assign(count, 0.0), p.fy.taps.assign(count, 0.0);
  }
  p.tiles = draw(1, std::min<int64_t>(h, 4));
  twice(kernels().blocks(p.y) * p.tiles, 1, {&y.buffer}, [&](int64_t a, int64_t b) { kernels().upfirdn2d(p, a, b); });
}

void filtered_lrelu() {
  const Shape s;
  struct Factors { int64_t up, down, u, d; };
  const auto [up, down, u, d] = pick<Factors>({{2, 2, 12, 12}, {4, 2, 24, 12}, {2, 2, 12, 6}, {1, 2, 1, 12},
                                               {2, 1, 12, 1}, {3, 2, 9, 7}, {2, 4, 12, 24}});
  const auto [x0, x1] = padding(s.w * up, u + d - 1);
  const auto [y0, y1] = padding(s.h * up, u + d - 1);
  const int64_t h = (s.h * up + y0 + y1 - u + 1 - d) / down + 1, w = (s.w * up + x0 + x1 - u + 1 - d) / down + 1;
  Picture in(s.type, s.n, s.c, s.h, s.w, s.channels_last, false);
  const Buffer bias = Buffer::random(s.type, s.c);
  const std::vector<double> fu = taps(u), fd = taps(d);
  const int64_t mode = draw(0, 2);  // forward, Jacobian, transposed Jacobian
  Picture v(s.type, s.n, s.c, mode == 2 ? h : s.h, mode == 2 ? w : s.w, s.channels_last, false);
  Picture y(s.type, s.n, s.c, mode == 2 ? s.h : h, mode == 2 ? s.w : w, s.channels_last, true);
  FilteredLrelu p;
  p.x = mode ? v.image : in.image, p.y = y.image;
  p.up_x = {up, x0, fu}, p.up_y = {up, y0, fu}, p.down_x = p.down_y = {1, 0, fd}, p.step_x = p.step_y = down;
  if (mode) p.at = &in.image, p.at_x = p.up_x, p.at_y = p.up_y;
  if (mode == 2) {
    p.up_x = p.up_y = {down, d - 1, {fd.rbegin(), fd.rend()}};
    p.down_x = {1, u - 1 - x0, {fu.rbegin(), fu.rend()}}, p.down_y = {1, u - 1 - y0, {fu.rbegin(), fu.rend()}};
    p.step_x = p.step_y = up;
  }
  p.bias = draw(0, 1) ? bias.data.get() : nullptr;
  p.gain = 1.4, p.slope = 0.2, p.clamp = pick({-1.0, 0.5});
  p.tiles = draw(1, std::min<int64_t>(p.y.h, 4));
  twice(kernels().blocks(p.y) * p.tiles, 1, {&y.buffer}, [&](int64_t a, int64_t b) { kernels().filtered_lrelu(p, a, b); });
}

void bias_act() {
  const Shape s;
  const int64_t count = s.n * s.c * s.h * s.w;
  const Buffer x = Buffer::random(s.type, count), g = Buffer::random(s.type, count), b = Buffer::random(s.type, s.c);
  Buffer y = Buffer::unwritten(s.type, count);
  BiasAct p;
  p.x = x.data.get(), p.y = y.data.get(), p.type = s.type, p.count = count;
  p.order = draw(0, 2), p.act = static_cast<Activation>(draw(0, 8)), p.alpha = 0.2, p.gain = 1.3, p.clamp = pick({-1.0, 0.5});
  if (p.order) p.g = g.data.get();
  if (draw(0, 2)) p.b = b.data.get(), p.bias_count = s.c, p.bias_stride = s.channels_last ? 1 : s.h * s.w;
  twice(count, 64, {&y}, [&](int64_t a, int64_t b) { kernels().bias_act(p, a, b); });
}

void norm_pool() {
  const Type type = pick({Type::f32, Type::f64});
  const int64_t n = draw(1, 3), c = draw(1, 5), h = 2 * draw(1, 9), w = 2 * draw(1, 9), planes = n * c, all = planes * h * w;
  const Buffer x = Buffer::random(type, all), weight = Buffer::random(type, c), bias = Buffer::random(type, c);
  const Buffer g = Buffer::random(type, all / 4), u = Buffer::random(type, all), of_weight = Buffer::random(type, planes),
               of_bias = Buffer::random(type, planes);
  Buffer y = Buffer::unwritten(type, all / 4), dx = Buffer::unwritten(type, all);
  Buffer dweight = Buffer::unwritten(type, planes), dbias = Buffer::unwritten(type, planes);
  NormPool p;
  p.x = x.data.get(), p.weight = weight.data.get(), p.bias = bias.data.get(), p.type = type;
  p.c = c, p.h = h, p.w = w, p.eps = 1e-5, p.order = draw(0, 2);
  if (p.order) p.g = g.data.get(), p.dx = dx.data.get(), p.dweight = dweight.data.get(), p.dbias = dbias.data.get();
  if (p.order == 2) p.u = u.data.get(), p.p = of_weight.data.get(), p.q = of_bias.data.get(), p.dbias = nullptr;
  if (p.order != 1) p.y = y.data.get();
  const std::vector<Buffer*> outputs[] = {{&y}, {&dx, &dweight, &dbias}, {&y, &dx, &dweight}};
  twice(planes, 1, outputs[p.order], [&](int64_t a, int64_t b) { kernels().norm_pool(p, a, b); });
}

void winograd() {
  Winograd p;
  p.n = draw(1, 3), p.c = pick<int64_t>({1, 3, 16, 19}), p.k = pick<int64_t>({1, 5, 16, 35, 64});
  p.height = draw(1, 18), p.width = draw(1, 18), p.rows = draw(1, 4), p.turned = draw(0, 1);
  const int64_t pixels = p.n * p.height * p.width, blocks = Winograd::padded(p.k) / Winograd::kLanes;
  const auto numbers = [](const Buffer& b) { return reinterpret_cast<float*>(b.data.get()); };
  const Buffer x = Buffer::random(Type::f32, pixels * p.c), g = Buffer::random(Type::f32, pixels * p.k);
  const Buffer weight = Buffer::random(Type::f32, 9 * p.c * p.k), bias = Buffer::random(Type::f32, p.k);
  const Buffer points = Buffer::unwritten(Type::f32, p.size_of_points());
  const Buffer v = Buffer::unwritten(Type::f32, p.size_of_spread(p.c)), w = Buffer::unwritten(Type::f32, p.size_of_spread(p.k));
  Buffer y = Buffer::unwritten(Type::f32, pixels * p.k), dw = Buffer::unwritten(Type::f32, 9 * p.c * p.k);
  const auto part = [&](Winograd::Part which, int64_t tasks, std::vector<Buffer*> outputs) {
    p.part = which;
    twice(tasks, 1, outputs, [&](int64_t a, int64_t b) { kernels().winograd(p, a, b); });
  };
  p.x = numbers(x), p.g = numbers(g), p.weight = numbers(weight), p.points = numbers(points), p.y = numbers(y);
  if (draw(0, 1)) p.bias = numbers(bias);
  part(Winograd::Part::kernels, blocks, {});
  part(Winograd::Part::convolve, (p.n * p.down() + p.rows - 1) / p.rows, {&y});
  p.v = numbers(v), p.w = numbers(w), p.y = numbers(dw), p.end = std::min(p.rows, p.n * p.down());
  part(Winograd::Part::spread, (Winograd::padded(p.c) + Winograd::padded(p.k)) / Winograd::kLanes, {});
  part(Winograd::Part::accumulate, Winograd::kPoints, {});
  part(Winograd::Part::gradient, blocks, {&dw});
}

void narrow_conv() {
  NarrowConv p;
  p.n = draw(1, 3), p.c = draw(1, 4), p.k = pick<int64_t>({1, 5, 8, 17}), p.height = draw(1, 6), p.width = draw(1, 40);
  const int64_t pixels = p.n * p.height * p.width;
  const Buffer x = Buffer::random(Type::f32, pixels * p.c), weight = Buffer::random(Type::f32, 9 * p.c * p.k);
  const Buffer bias = Buffer::random(Type::f32, p.k);
  Buffer y = Buffer::unwritten(Type::f32, pixels * p.k);
  const auto numbers = [](const Buffer& b) { return reinterpret_cast<float*>(b.data.get()); };
  p.x = numbers(x), p.weight = numbers(weight), p.y = numbers(y), p.bias = draw(0, 1) ? numbers(bias) : nullptr;
  twice(p.n, 1, {&y}, [&](int64_t a, int64_t b) { kernels().narrow_conv(p, a, b); });
}

}  // namespace

int main(int argc, char** argv) {
  const struct { const char* name; void (*run)(); } families[] = {
      {"upfirdn2d", upfirdn2d}, {"filtered_lrelu", filtered_lrelu}, {"bias_act", bias_act}, {"norm_pool", norm_pool},
      {"winograd", winograd}, {"narrow_conv", narrow_conv}};
  const auto* family = argc == 4 ? std::find_if(std::begin(families), std::end(families),
                                                [&](const auto& f) { return !std::strcmp(f.name, argv[1]); })
                                 : std::end(families);
  if (family == std::end(families)) {
    std::fprintf(stderr, "usage: %s upfirdn2d|filtered_lrelu|bias_act|norm_pool|winograd|narrow_conv CALLS BUG\n", argv[0]);
    return 2;
  }
  glad_planted = std::atoi(argv[3]);
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    engine.seed(i);
    family->run();
  }
  std::printf("%s\n", kernels().name);
}
