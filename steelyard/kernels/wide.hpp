// Vectors of float or double in the compiler's portable form, loads and stores of 16-bit numbers, exp and log.
//
// As lanes.hpp, VECTOR_BYTES says how wide they are and nothing may leave the file that includes it. Unlike there,
// exp(−∞) is 0 and an overflow is ∞, which a loss has to see: lanes.hpp clamps, because a training step needs neither.

#pragma once

#include <math.h>
#include <stdint.h>
#include <string.h>

#include <utility>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define INLINE inline __attribute__((always_inline))

namespace {

struct BFloat16 {
  uint16_t bits;
};
struct Float16 {
  uint16_t bits;
};

template <class T>
struct Wide;

template <>
struct Wide<float> {
  static constexpr int L = VECTOR_BYTES / 4;
  typedef float V __attribute__((vector_size(VECTOR_BYTES)));
  typedef int32_t M __attribute__((vector_size(VECTOR_BYTES)));
  typedef uint32_t U __attribute__((vector_size(VECTOR_BYTES)));
  typedef int32_t Int;
  static constexpr float largest = 88.37f, smallest = -87.33f;  // e^x is a normal number between them
  static constexpr float round = 12582912.0f;                   // 1.5 · 2²³: adding it leaves the integer in the low bits
  static constexpr float low = 1e-20f, high = 1e20f;            // where a sum of exponentials is exact without a shift
  static constexpr float faint = 1e-25f;                        // below it a sum may have lost what underflowed
  static constexpr float tiny = 1.1754943508222875e-38f;
  static constexpr int mantissa = 23, bias = 127;
};

template <>
struct Wide<double> {
  static constexpr int L = VECTOR_BYTES / 8;
  typedef double V __attribute__((vector_size(VECTOR_BYTES)));
  typedef int64_t M __attribute__((vector_size(VECTOR_BYTES)));
  typedef uint64_t U __attribute__((vector_size(VECTOR_BYTES)));
  typedef int64_t Int;
  static constexpr double largest = 709.0, smallest = -708.3;
  static constexpr double round = 6755399441055744.0;
  static constexpr double low = 1e-150, high = 1e150;
  static constexpr double faint = 1e-280;
  static constexpr double tiny = 2.2250738585072014e-308;
  static constexpr int mantissa = 52, bias = 1023;
};

template <class T>
using Vec = typename Wide<T>::V;
template <class T>
using Mask = typename Wide<T>::M;

template <class T>
static INLINE Vec<T> all(T x) {
  return x - Vec<T>{};
}
template <class T>
static INLINE Vec<T> either(Mask<T> m, Vec<T> yes, Vec<T> no) {
  return m ? yes : no;
}
// Of two, `a` where it is NaN: what is not a number must not become one on the way to the loss.
template <class T>
static INLINE Vec<T> smaller(Vec<T> a, Vec<T> b) {
  return b < a ? b : a;
}
template <class T>
static INLINE Vec<T> larger(Vec<T> a, Vec<T> b) {
  return b > a ? b : a;
}
template <class T>
static INLINE bool any(Mask<T> m) {
#if defined(__AVX512F__) && defined(__AVX512DQ__)
  if constexpr (sizeof(T) == 4) return _mm512_movepi32_mask((__m512i)m) != 0;
  return _mm512_movepi64_mask((__m512i)m) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_epi8((__m256i)m) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_epi8((__m128i)m) != 0;
#else
  typename Wide<T>::Int found = 0;
  for (int i = 0; i < Wide<T>::L; ++i) found |= m[i];
  return found != 0;
#endif
}
template <class T>
static INLINE T lanes_sum(Vec<T> x) {
  T total[Wide<T>::L];
  memcpy(total, &x, sizeof x);
  for (int s = Wide<T>::L / 2; s; s /= 2)
    for (int i = 0; i < s; ++i) total[i] += total[i + s];
  return total[0];
}
template <class T>
static INLINE T lanes_max(Vec<T> x) {
  T best = x[0];
  for (int i = 1; i < Wide<T>::L; ++i) best = x[i] > best ? x[i] : best;
  return best;
}

// --- numbers in memory ---------------------------------------------------------------------------------------------

constexpr int LF = VECTOR_BYTES / 4;
typedef uint16_t Half __attribute__((vector_size(VECTOR_BYTES / 2)));
typedef Wide<float>::U UF;
typedef Wide<float>::M IF;
typedef Wide<float>::V VF;

static INLINE VF from_half_bits(UF h, BFloat16) { return (VF)(h << 16); }
static INLINE UF to_half_bits(VF x, BFloat16) {
  const UF b = (UF)x;
  const UF rounded = (b + 0x7fff + ((b >> 16) & 1)) >> 16;
  return x == x ? rounded : UF{} + 0x7fc0;
}
static INLINE VF from_half_bits(UF h, Float16) {
  const UF sign = (h & 0x8000) << 16, rest = (h & 0x7fff) << 13;
  // as a float its exponent is too small by 112; a multiplication repairs it, and makes subnormals normal
  const UF normal = (UF)((VF)rest * 0x1p112f);
  const UF special = rest | 0x7f800000;  // ∞ and NaN
  return (VF)(((h & 0x7c00) == 0x7c00 ? special : normal) | sign);
}
static INLINE UF to_half_bits(VF x, Float16) {
  const UF b = (UF)x, sign = (b >> 16) & 0x8000, a = b & 0x7fffffff;
  const UF normal = (a + 0xfff + ((a >> 13) & 1) - (112u << 23)) >> 13;
  const UF subnormal = (UF)((VF)a + 0.5f) - 0x3f000000;  // the addition rounds to a multiple of 2⁻²⁴
  UF out = a < 0x38800000 ? subnormal : normal;
  out = a >= 0x477ff000 ? UF{} + 0x7c00 : out;  // 65520 and above
  out = a > 0x7f800000 ? UF{} + 0x7e00 : out;
  return out | sign;
}

static INLINE VF load(const float* at) {
  VF x;
  memcpy(&x, at, sizeof x);
  return x;
}
static INLINE Vec<double> load(const double* at) {
  Vec<double> x;
  memcpy(&x, at, sizeof x);
  return x;
}
template <class H>
static INLINE VF load_half(const H* at) {
  Half h;
  memcpy(&h, at, sizeof h);
  return from_half_bits(__builtin_convertvector(h, UF), H{});
}
static INLINE VF load(const BFloat16* at) { return load_half(at); }
static INLINE VF load(const Float16* at) { return load_half(at); }

static INLINE void store(float* at, VF x) { memcpy(at, &x, sizeof x); }
static INLINE void store(double* at, Vec<double> x) { memcpy(at, &x, sizeof x); }
template <class H>
static INLINE Half narrowed(VF x, H kind) {
  return __builtin_convertvector(to_half_bits(x, kind), Half);
}
static INLINE void store(BFloat16* at, VF x) {
  const Half h = narrowed(x, BFloat16{});
  memcpy(at, &h, sizeof h);
}
static INLINE void store(Float16* at, VF x) {
  const Half h = narrowed(x, Float16{});
  memcpy(at, &h, sizeof h);
}

// Past the caches, where the address is aligned to the vector (half of it for 16 bits); elsewhere an ordinary store.
template <class Bits>
static INLINE void stream_bits(void* at, Bits x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(Bits) == 64) return _mm512_stream_si512((__m512i*)at, (__m512i)x);
#endif
#if defined(__AVX__)
  if constexpr (sizeof(Bits) == 32) return _mm256_stream_si256((__m256i*)at, (__m256i)x);
#endif
#if defined(__SSE2__)
  if constexpr (sizeof(Bits) == 16) return _mm_stream_si128((__m128i*)at, (__m128i)x);
#endif
  memcpy(at, &x, sizeof x);
}
static INLINE void stream(float* at, VF x) { stream_bits(at, x); }
static INLINE void stream(double* at, Vec<double> x) { stream_bits(at, x); }
static INLINE void stream(BFloat16* at, VF x) { stream_bits(at, narrowed(x, BFloat16{})); }
static INLINE void stream(Float16* at, VF x) { stream_bits(at, narrowed(x, Float16{})); }
static INLINE void streams_done() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

static INLINE float one(const float* at) { return *at; }
static INLINE double one(const double* at) { return *at; }
static INLINE float one(const BFloat16* at) {
  const uint32_t b = static_cast<uint32_t>(at->bits) << 16;
  float x;
  memcpy(&x, &b, 4);
  return x;
}
static INLINE float one(const Float16* at) { return from_half_bits(UF{} + at->bits, Float16{})[0]; }

// The first `count` lanes, the others `rest`.
template <class T, class In>
static INLINE Vec<T> load_some(const In* at, int count, T rest) {
  In held[Wide<T>::L] = {};
  memcpy(held, at, sizeof(In) * count);
  const Vec<T> x = load(held);
  T out[Wide<T>::L];
  for (int i = 0; i < Wide<T>::L; ++i) out[i] = i < count ? x[i] : rest;
  return load(out);
}
template <class In, class X>
static INLINE void store_some(In* at, X x, int count) {
  In held[VECTOR_BYTES / sizeof(x[0])];
  store(held, x);
  memcpy(at, held, sizeof(In) * count);
}

// --- exp and log ---------------------------------------------------------------------------------------------------

// x = n log 2 + r with |r| ≤ (log 2)/2; e^r by the polynomial of degree 5 whose relative error is the least, 7.5e-8
// (fitted by Lawson's iteration), in double by its series to r¹³, 4e-18. log 2 in two parts, the first with so few bits
// that n times it is exact.
static INLINE VF exp_reduced(VF x, VF n) {
  const VF r = (x - n * 0.693145751953125f) - n * 1.42860682030941723e-6f;
  VF p = r * 0.008297619567473049f + 0.04191563067273206f;
  p = p * r + 0.16667576548891982f;
  p = p * r + 0.49998892648605525f;
  p = p * r + 0.9999996910652684f;
  return p * r + 1.000000071867598f;
}
static INLINE Vec<double> exp_reduced(Vec<double> x, Vec<double> n) {
  const Vec<double> r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  Vec<double> p = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  return p * r + 1.0;
}

// Below the smallest normal number 0, above the largest ∞; NaN stays NaN.
template <class T>
static INLINE Vec<T> exp(Vec<T> x) {
  typedef Wide<T> W;
  typedef typename W::U U;
  const Vec<T> shifted = x * static_cast<T>(1.4426950408889634) + W::round;
  const Vec<T> n = shifted - W::round;
  const U power = ((U)shifted << W::mantissa) + (static_cast<decltype(U{}[0] + 0)>(W::bias) << W::mantissa);
  Vec<T> e = exp_reduced(x, n) * (Vec<T>)power;
  e = x < W::smallest ? Vec<T>{} : e;
  return x > W::largest ? Vec<T>{} + static_cast<T>(INFINITY) : e;
}

// 2 atanh(f) for |f| ≤ 1/3, by its series; the first term left out is below a rounding of the whole.
template <class T>
static INLINE Vec<T> twice_atanh(Vec<T> f) {
  constexpr int last = sizeof(T) == 4 ? 17 : 35;
  const Vec<T> s = f * f;
  Vec<T> p = all<T>(static_cast<T>(1.0 / last));
#pragma GCC unroll 20
  for (int k = last - 2; k >= 3; k -= 2) p = p * s + static_cast<T>(1.0 / k);
  return static_cast<T>(2) * f + static_cast<T>(2) * f * s * p;
}

// log(1 + x) for 0 ≤ x ≤ 1, right to a rounding also where x is tiny.
template <class T>
static INLINE Vec<T> log1p_small(Vec<T> x) {
  return twice_atanh<T>(x / (x + static_cast<T>(2)));
}

// log of a normal positive number: the exponent, and the mantissa brought to [√½, √2). ∞ and NaN stay.
template <class T>
static INLINE Vec<T> log(Vec<T> x) {
  typedef Mask<T> M;
  constexpr bool f = sizeof(T) == 4;
  constexpr typename Wide<T>::Int half_root = f ? 0x3f3504f3 : 0x3fe6a09e667f3bcd;
  constexpr typename Wide<T>::Int fraction = (static_cast<typename Wide<T>::Int>(1) << Wide<T>::mantissa) - 1;
  const M bits = (M)x - half_root;
  const Vec<T> e = __builtin_convertvector(bits >> Wide<T>::mantissa, Vec<T>);
  const Vec<T> m = (Vec<T>)((bits & fraction) + half_root);
  const Vec<T> tail = twice_atanh<T>((m - static_cast<T>(1)) / (m + static_cast<T>(1)));
  constexpr T high = f ? 0.693145751953125f : 0.693147180369123816490;
  constexpr T low = f ? 1.42860682030941723e-6f : 1.90821492927058770002e-10;
  const Vec<T> found = e * high + (tail + e * low);
  return x < static_cast<T>(INFINITY) ? found : x;
}

// log(1 + x) for x ≥ 0.
template <class T>
static INLINE Vec<T> log1p(Vec<T> x) {
  const Vec<T> small = smaller<T>(x, all<T>(1));
  return x > static_cast<T>(1) ? log<T>(x + static_cast<T>(1)) : log1p_small<T>(small);
}

// --- rows to columns -----------------------------------------------------------------------------------------------

template <class T, int S, int... J>
static INLINE Vec<T> upper(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  return __builtin_shufflevector(a, b, ((J & S) ? Wide<T>::L + J - S : J)...);
}
template <class T, int S, int... J>
static INLINE Vec<T> lower(Vec<T> a, Vec<T> b, std::integer_sequence<int, J...>) {
  return __builtin_shufflevector(a, b, ((J & S) ? Wide<T>::L + J : J + S)...);
}
// Transpose L vectors of L lanes: swap the off-diagonal blocks of size 1, 2, 4, ...
template <class T, int S = 1>
static INLINE void transpose(Vec<T> (&r)[Wide<T>::L]) {
  if constexpr (S < Wide<T>::L) {
    constexpr auto lanes = std::make_integer_sequence<int, Wide<T>::L>{};
#pragma GCC unroll 16
    for (int i = 0; i < Wide<T>::L; ++i) {
      if (i & S) continue;
      const Vec<T> a = r[i], b = r[i + S];
      r[i] = upper<T, S>(a, b, lanes);
      r[i + S] = lower<T, S>(a, b, lanes);
    }
    transpose<T, 2 * S>(r);
  }
}
// Pairs (a₀ b₀ a₁ b₁ …) in two vectors ↔ all a and all b.
template <class T, int... J>
static INLINE void unzip(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, J...>) {
  const Vec<T> x = a, y = b;
  a = __builtin_shufflevector(x, y, (2 * J)...);
  b = __builtin_shufflevector(x, y, (2 * J + 1)...);
}
template <class T, int... J>
static INLINE void zip(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, J...>) {
  constexpr int L = Wide<T>::L;
  const Vec<T> x = a, y = b;
  a = __builtin_shufflevector(x, y, ((J & 1) * L + J / 2)...);
  b = __builtin_shufflevector(x, y, ((J & 1) * L + L / 2 + J / 2)...);
}

}  // namespace
