// Vectors of one instruction set by GCC's and Clang's vector extensions: no intrinsics, one source for all.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__AVX512F__)
#define GLAD_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define GLAD_VECTOR_BYTES 32
#else
#define GLAD_VECTOR_BYTES 16
#endif
#define GLAD_INLINE inline __attribute__((always_inline))

namespace glad::GLAD_ISA {

struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

template <class E, int N>
struct LanesOf {
  typedef E type __attribute__((vector_size(sizeof(E) * N)));
};
template <class E, int N>
using Lanes = typename LanesOf<E, N>::type;

template <class A>
inline constexpr int kLanes = GLAD_VECTOR_BYTES / sizeof(A);
template <class A>
using Vec = Lanes<A, kLanes<A>>;
template <class A>  // what comparisons of Vec<A> give
using Mask = Lanes<std::conditional_t<sizeof(A) == 4, int32_t, int64_t>, kLanes<A>>;

template <class To, class From>
GLAD_INLINE To bits(From v) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &v, sizeof v);
  return to;
}

template <class V>
GLAD_INLINE V load(const void* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class V>
GLAD_INLINE void store(void* p, V v) {
  std::memcpy(p, &v, sizeof v);
}

// Reading and writing a vector of A as elements of T in memory.
template <class T>
struct Element {
  using A = T;  // arithmetic is in A
  static GLAD_INLINE Vec<A> read(const T* p) { return load<Vec<A>>(p); }
  static GLAD_INLINE void write(T* p, Vec<A> v) { store(p, v); }
};

template <>
struct Element<BFloat16> {
  using A = float;
  using U16 = Lanes<uint16_t, kLanes<float>>;
  using U32 = Lanes<uint32_t, kLanes<float>>;
  static GLAD_INLINE Vec<A> read(const BFloat16* p) {
    return bits<Vec<A>>(__builtin_convertvector(load<U16>(p), U32) << 16);
  }
  static GLAD_INLINE void write(BFloat16* p, Vec<A> v) {  // to the nearest, ties to even
    const U32 u = bits<U32>(v);
    const U32 rounded = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    store(p, __builtin_convertvector(v == v ? rounded : U32{} + 0x7fc0, U16));
  }
};

template <>
struct Element<Half> {
  using A = float;
  using U16 = Lanes<uint16_t, kLanes<float>>;
  using U32 = Lanes<uint32_t, kLanes<float>>;
  static GLAD_INLINE Vec<A> read(const Half* p) {
    const U32 h = __builtin_convertvector(load<U16>(p), U32);
    const U32 magnitude = (h & 0x7fff) << 13;
    const U32 scaled = bits<U32>(bits<Vec<A>>(magnitude) * 0x1p112f);  // moves the exponent's bias, subnormals too
    const U32 finite = magnitude < (0x7c00u << 13) ? scaled : magnitude | 0x7f800000u;
    return bits<Vec<A>>(finite | ((h & 0x8000) << 16));
  }
  static GLAD_INLINE void write(Half* p, Vec<A> v) {  // to the nearest, ties to even
    const U32 u = bits<U32>(v), sign = u & 0x80000000u, a = u ^ sign;
    const U32 normal = (a - (112u << 23) + 0xfff + ((a >> 13) & 1)) >> 13;
    const U32 small = bits<U32>(bits<Vec<A>>(a) + 0.5f) - 0x3f000000u;  // the addition rounds at half's last bit
    const U32 large = a > 0x7f800000u ? U32{} + 0x7e00 : U32{} + 0x7c00;
    const U32 half = a >= 0x47800000u ? large : a < 0x38800000u ? small : normal;
    store(p, __builtin_convertvector(half | (sign >> 16), U16));
  }
};

namespace detail {

template <int S, class V, int... K>  // the S x S blocks off the diagonal change places
GLAD_INLINE void exchange(V& a, V& b, std::integer_sequence<int, K...>) {
  constexpr int n = sizeof...(K);
  const V low = __builtin_shufflevector(a, b, ((K & S) ? n + K - S : K)...);
  b = __builtin_shufflevector(a, b, ((K & S) ? n + K : K + S)...);
  a = low;
}

template <int S, int N, class V>
GLAD_INLINE void transpose_step(V* r) {
  if constexpr (S < N) {
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
      if (!(i & S)) exchange<S>(r[i], r[i + S], std::make_integer_sequence<int, N>{});
    transpose_step<2 * S, N>(r);
  }
}

}  // namespace detail

// r[i] lane k <-> r[k] lane i.
template <class A>
GLAD_INLINE void transpose(Vec<A> (&r)[kLanes<A>]) {
  detail::transpose_step<1, kLanes<A>>(r);
}

}  // namespace glad::GLAD_ISA
